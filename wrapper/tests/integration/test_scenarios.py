"""Every way in which a network or a server fails, on every etcd at hand, with short outages.

The rows, the oracle, and the command that prints them as a table with real outages are in `wrapper/scenarios`. Here
they pass or fail; times are for the command, because a busy machine proves nothing.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow

NAME = "runtime_config_scenarios"


def load() -> ModuleType:
    """The package `wrapper/scenarios`, which is not installed, by its path and once."""
    if NAME not in sys.modules:
        folder = Path(__file__).parents[2] / "scenarios"
        spec = importlib.util.spec_from_file_location(
            NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return importlib.import_module(f"{NAME}.__main__")


SCENARIOS = load()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "which" in metafunc.fixturenames:
        named = [
            os.environ.get("NETFAULT_ETCD_CURRENT", ""),
            *os.environ.get("NETFAULT_TEST_ETCDS", "").split(":"),
        ]
        more = list(dict.fromkeys(path for path in named if path))
        ids = ["found", *(f"named{number}" for number in range(1, len(more) + 1))]
        metafunc.parametrize("which", ["found", *more], ids=ids)


@pytest.fixture
def binary(which: str, etcd_binary: str) -> str:
    return etcd_binary if which == "found" else which


@pytest.fixture
def quiet() -> Iterator[None]:
    """Outages are what is asked for; a warning for each would bury what a failure has to say."""
    logger = logging.getLogger("runtime_config")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", list(SCENARIOS.ROWS))
def test_nothing_is_lost_or_doubled(name: str, binary: str) -> None:
    result: Any = SCENARIOS.play(SCENARIOS.ROWS[name], binary, SCENARIOS.QUICK)
    assert result.wrong == []


@pytest.mark.usefixtures("quiet")
def test_the_command_prints_the_table_and_tells_what_is_wrong(
    etcd_binary: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--quick", "--only", "cut_rst", "--etcd", etcd_binary]
    # A bound is for a machine that is not busy; here it is the row itself that may be wrong.
    row = dataclasses.replace(SCENARIOS.ROWS["cut_rst"], within=60.0)
    monkeypatch.setitem(SCENARIOS.ROWS, "cut_rst", row)
    assert SCENARIOS.main(arguments) == 0
    assert f"| {row.title} | - | 0 / 0, " in capsys.readouterr().out
    monkeypatch.setitem(SCENARIOS.ROWS, "cut_rst", dataclasses.replace(row, told=("compacted",)))
    assert SCENARIOS.main(arguments) == 1
    assert "told of [], expected ['compacted']" in capsys.readouterr().out


def test_the_readme_names_every_row() -> None:
    text = (Path(__file__).parents[2] / "SCENARIOS.md").read_text(encoding="utf-8")
    for row in SCENARIOS.ROWS.values():
        assert f"| {row.title} |" in text, row.title
