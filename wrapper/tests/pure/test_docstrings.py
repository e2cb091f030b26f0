"""Every example in a docstring runs, and says what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import runtime_config

MODULES = sorted(module.name for module in pkgutil.walk_packages(runtime_config.__path__, "runtime_config."))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
