"""The proof kit's verdict on the wrapper, at a size for every run of the suite."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_netfault import verify

EXAMPLES = 20


@pytest.fixture(scope="module")
def subject() -> ModuleType:
    """The adapter that the documentation shows."""
    folder = Path(__file__).parents[3] / "docs" / "examples" / "stores"
    path = folder / "runtime_config_store.py"
    if not path.exists():
        pytest.skip(f"the adapter {path} is not here; run from a checkout of pytest-netfault")
    spec = importlib.util.spec_from_file_location("runtime_config_store_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_update_is_lost(subject: ModuleType, etcd_server: Any) -> None:
    pytest.importorskip("hypothesis", reason="schedules are drawn with hypothesis: pip install hypothesis")
    logging.getLogger("runtime_config").setLevel(logging.CRITICAL)
    try:
        report = verify.no_update_lost(subject.open_store, etcd_server, max_examples=EXAMPLES)
    finally:
        logging.getLogger("runtime_config").setLevel(logging.NOTSET)
    assert report.examples == EXAMPLES
    assert report.inconclusive == 0
    assert report.writes_acknowledged > 0
