"""The store over TCP that the proof kit is proved on; see ``mutants/toy.py``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def load(name: str) -> ModuleType:
    """A module of the folder ``mutants``; tests are not a package, so it is loaded by its path, and once."""
    known = f"netfault_mutants_{name}"
    if known not in sys.modules:
        path = Path(__file__).parent / "mutants" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(known, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[known]


@pytest.fixture
def toy() -> ModuleType:
    return load("toy")


@pytest.fixture
def server(toy: Any) -> Iterator[Any]:
    with toy.ToyServer() as server:
        yield server
