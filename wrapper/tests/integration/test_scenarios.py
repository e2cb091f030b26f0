"""Every way in which a network or a server fails, on every etcd at hand, with short outages.

The scenarios, the oracle, and the command that prints them as a table with real outages are in
`wrapper/tests/scenarios`. Here they pass or fail; times are for the command, because a busy machine proves nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.__main__ import main, play
from scenarios.catalogue import SCENARIOS
from scenarios.harness import QUICK

pytestmark = pytest.mark.slow


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
@pytest.mark.parametrize("name", list(SCENARIOS))
def test_nothing_is_lost_or_duplicated(name: str, binary: str) -> None:
    assert play(SCENARIOS[name], binary, QUICK).wrong == []


@pytest.mark.usefixtures("quiet")
def test_the_command_prints_the_table_and_says_what_is_wrong(
    etcd_binary: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--quick", "--only", "cut_rst", "--etcd", etcd_binary]
    # Time bounds are for a machine that is not busy; here only the scenario itself may be wrong.
    scenario = dataclasses.replace(SCENARIOS["cut_rst"], within=60.0)
    monkeypatch.setitem(SCENARIOS, "cut_rst", scenario)
    assert main(arguments) == 0
    assert f"| {scenario.title} | - | 0 / 0, " in capsys.readouterr().out
    wrong = dataclasses.replace(scenario, resyncs=("compacted",))
    monkeypatch.setitem(SCENARIOS, "cut_rst", wrong)
    assert main(arguments) == 1
    assert "resynced [], expected ['compacted']" in capsys.readouterr().out


def test_the_page_names_every_scenario() -> None:
    text = (Path(__file__).parents[2] / "SCENARIOS.md").read_text(encoding="utf-8")
    for scenario in SCENARIOS.values():
        assert f"| {scenario.title} |" in text, scenario.title
