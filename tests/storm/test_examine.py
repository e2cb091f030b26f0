"""What the plays at one place come to: only what repeats where the test passes is a finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pytest_netfault.storm.examine import Verdict, examine
from pytest_netfault.storm.places import Place
from pytest_netfault.storm.play import Error, Play, Remains, suspicion

PLACE = Place(1, "up", 1, "rst")
FINE = Play(0.1, struck=True)
MISSED = Play(0.1)
PLAIN = Play(0.1)
RAISED = replace(FINE, error=Error("OSError", "reset", "client.ask", "test_a.py:9"))
ASSERTED = replace(
    FINE, error=Error("AssertionError", "1 == 2", "test_a.test_b", "test_a.py:9", asserts=True)
)
HUNG = replace(FINE, hung="client.ask", hung_line="test_a.py:9")
LEAKED = replace(FINE, grown=Remains(sockets=1))
ALLOWED = replace(FINE, error=Error("OSError", "reset", "client.ask", "test_a.py:9", allowed=True))
PAUSED = replace(RAISED, excused="the machine stood still for 2.0 s")
FAILED = replace(PLAIN, error=RAISED.error)


class Script:
    """Gives the plays in order, the last one again and again."""

    def __init__(self, faults: Iterable[Play], plains: Iterable[Play] = (PLAIN,)) -> None:
        self.faults, self.plains = list(faults), list(plains)
        self.log: list[str] = []

    def fault(self) -> Play:
        self.log.append("fault")
        return self.faults.pop(0) if len(self.faults) > 1 else self.faults[0]

    def plain(self) -> Play:
        self.log.append("plain")
        return self.plains.pop(0) if len(self.plains) > 1 else self.plains[0]

    def judge(self, *, warm: bool = True) -> Verdict:
        return examine(PLACE, self.fault, self.plain, lambda: self.log.append("rebuild"), warm=warm)


def test_a_play_that_passes_is_enough() -> None:
    script = Script([FINE])
    assert script.judge() == Verdict(plays=1)
    assert script.log == ["fault"]


def test_without_its_fixtures_the_test_is_played_as_it_is_first() -> None:
    script = Script([FINE])
    assert script.judge(warm=False) == Verdict(plays=1)
    assert script.log == ["plain", "fault"]


def test_an_error_that_is_allowed_is_no_finding() -> None:
    assert Script([ALLOWED]).judge() == Verdict(plays=1)


@pytest.mark.parametrize(
    ("play", "kind"), [(RAISED, "undeclared error"), (ASSERTED, "wrong result"), (HUNG, "hang")]
)
def test_what_happens_twice_around_a_play_that_passes_is_a_finding(play: Play, kind: str) -> None:
    script = Script([play])
    verdict = script.judge()
    assert verdict == Verdict(suspicion(play, PLACE), 2, 2)
    assert verdict.found is not None
    assert verdict.found.kind == kind
    assert script.log == ["fault", "plain", "fault"]


def test_what_happens_once_in_three_plays_is_none() -> None:
    verdict = Script([RAISED, FINE]).judge()
    assert (verdict.found, verdict.plays) == (None, 3)
    assert verdict.reason == "undeclared error, but only in 1 of 3 plays"


def test_what_happens_in_two_of_three_is_one() -> None:
    verdict = Script([RAISED, FINE, RAISED]).judge()
    assert (verdict.found, verdict.times, verdict.plays) == (suspicion(RAISED, PLACE), 2, 3)


def test_a_test_that_does_not_pass_as_it_is_any_more_is_not_blamed() -> None:
    script = Script([RAISED], [FAILED])
    assert script.judge().reason == "it does not pass as it is any more: OSError"
    assert "rebuild" in script.log


def test_fixtures_that_an_earlier_fault_has_broken_are_made_anew_and_the_first_play_does_not_count() -> None:
    script = Script([RAISED, FINE], [FAILED, PLAIN])
    verdict = script.judge()
    assert (verdict.found, verdict.times) == (None, 0)
    assert script.log[:5] == ["fault", "plain", "rebuild", "plain", "fault"]


def test_a_client_that_never_recovers_is_found_all_the_same() -> None:
    script = Script([RAISED], [FAILED, PLAIN, FAILED, PLAIN, FAILED, PLAIN])
    assert (script.judge().times, script.log.count("rebuild")) == (2, 2)


def test_what_is_left_each_time_is_a_leak() -> None:
    verdict = Script([LEAKED]).judge()
    assert (verdict.found, verdict.times, verdict.plays) == (suspicion(LEAKED, PLACE), 3, 3)


def test_a_pool_that_grows_once_is_no_leak() -> None:
    assert Script([LEAKED, FINE]).judge() == Verdict(plays=2)


def test_what_the_test_leaves_as_it_is_is_no_leak() -> None:
    assert Script([LEAKED], [replace(PLAIN, grown=Remains(sockets=1))]).judge() == Verdict(plays=1)


def test_a_place_that_is_not_reached_is_said() -> None:
    assert Script([MISSED]).judge() == Verdict(reason="the test does not come to this place")


def test_a_machine_that_stood_still_is_no_finding() -> None:
    assert Script([PAUSED]).judge() == Verdict(reason="the machine stood still for 2.0 s")
    assert Script([PAUSED, FINE]).judge() == Verdict(plays=1)


def test_an_error_before_the_place_is_not_blamed_on_it() -> None:
    assert Script([replace(RAISED, struck=False)]).judge().found is None
