"""What a failure shows is the user's: their lines and those of their client, and none of how we are made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pytest_netfault

TESTS = Path(__file__).parents[1]
OURS = Path(str(pytest_netfault.__file__)).parent

HEAD = """
import socket
import pytest
from support.mutants import toy
from pytest_netfault import Blackhole, Break, Delay, Schedule, WaitForEvents, Sever, Subscribe, Write, verify

class FromNow(toy.RightStore):
    began = False

    def resume_at(self):
        self.began, first = True, not self.began
        return self.next if first else None

    def on_events(self, revision, changes):
        self.next = 0
        super().on_events(revision, changes)

class Never(toy.RightStore):
    def __init__(self, address):
        raise RuntimeError("the client's own")

LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])
ONLY = dict(settle=0.4)

@pytest.fixture
def server():
    with toy.ToyServer() as server:
        yield server

def test_it(server, netfault, echo):
    link = netfault.forward(echo)
"""

FAILURES = {
    "a loss, replayed": "verify.replay(FromNow, server, LOSS, settle=0.4)",
    "a loss, found": "verify.no_update_lost(FromNow, server, faults=[Sever], seed=3, max_seconds=4, settle=0.4)",
    "a loss, swept": "verify.sweep(FromNow, server, seed=3, settle=0.4, stride=50)",
    "a loss in a part": "verify.no_update_lost(FromNow, server, faults=[Sever], seed=3, max_seconds=4, settle=0.4, "
    "shard='1/1', report_dir='parts')",
    "nothing proved": "verify.replay(toy.RightStore, server, Schedule([Subscribe(), Write('a')]))",
    "an argument of a proof": "verify.no_update_lost(toy.RightStore, server, settle=0)",
    "no server": "verify.no_update_lost(toy.RightStore, object())",
    "a client that does not open": "verify.replay(Never, server, LOSS)",
    "no part to merge": "verify.merge('parts')",
    "a schedule": "Schedule([])",
    "a step": "Write('A')",
    "a fault": "link.delay(-1)",
    "no fault": "link.apply(3)",
    "an address": "netfault.forward('nonsense')",
    "an address in use": "netfault.forward(echo, listen=echo)",
    "a wait": "link.wait_for_bytes(5, timeout=0)",
    "no traffic": "link.assert_traffic()",
    "a closed link": "link.close(); link.sever()",
}


@pytest.fixture
def shown(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What pytest prints of a test whose last line is this one."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))

    def run(line: str, *arguments: str) -> list[str]:
        sessions.file(HEAD + f"    {line}\n")
        result = sessions.run("--netfault-seed=7", *arguments)
        return [str(one) for one in result.outlines]

    return run


def assert_only_theirs(lines: list[str]) -> None:
    assert not [line for line in lines if str(OURS) in line or "<string>" in line]
    assert not [line for line in lines if re.match(r">.*(announced|recorded|_session)\(", line)]


@pytest.mark.slow
@pytest.mark.parametrize("line", FAILURES.values(), ids=FAILURES)
def test_a_failure_shows_no_frame_of_ours(shown: Any, line: str) -> None:
    lines = shown(line)
    assert any(one.startswith(">") and line in one for one in lines), lines
    assert_only_theirs(lines)


@pytest.mark.slow
def test_a_client_that_does_not_open_is_shown_where_it_raised(shown: Any) -> None:
    lines = shown(FAILURES["a client that does not open"])
    assert any(line.startswith(">") and "the client's own" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["-Werror", "--netfault-strict"])
def test_a_fault_that_met_nothing_shows_no_frame_of_ours(shown: Any, option: str) -> None:
    lines = shown("link.delay(1)", option)
    assert any("Delay(1) was in force" in line for line in lines)
    assert not any("entries are hidden" in line for line in lines)
    assert_only_theirs(lines)


@pytest.mark.slow
def test_a_mistake_of_ours_is_shown_where_it_is(shown: Any) -> None:
    lines = shown("link._thread = None; link.sever()")
    assert any(line.startswith(str(OURS)) or "control/link.py" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["UpdateLost", "ProvedNothing"])
def test_at_80_columns_the_reason_is_read(shown: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    case = {"UpdateLost": "a loss, replayed", "ProvedNothing": "nothing proved"}[name]
    lines = shown(FAILURES[case])
    (short,) = (line for line in lines if line.startswith("FAILED"))
    assert f"pytest_netfault.{name}: " in short
    reason = {"UpdateLost": "An update was", "ProvedNothing": "nothing was"}[name]
    assert reason in short
