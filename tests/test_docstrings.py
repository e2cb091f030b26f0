"""Every example in a docstring runs, and says what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import pytest_netfault

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pytest_netfault.__path__, "pytest_netfault.")
    if not module.name.endswith("__main__")
)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
