"""The schedule that a loss prints: it breaks what the first failing run broke, with the faults that were asked for,
holds nothing that plays no part, and fails each time where a wait can make it so."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault import Delivery, Event, verify
from pytest_netfault.faults import Blackhole, Cut, Delay, Fault, Reset, Sever
from pytest_netfault.schedules import Break, Restart, Schedule, Subscribe, Write, WriteMany


def faults_of(schedule: Schedule) -> list[Fault]:
    return [step.fault for step in schedule if isinstance(step, Break)]


def plain(server: Any) -> Any:
    """A server that cannot be restarted or compacted."""
    return SimpleNamespace(address=server.address, revision=server.revision, log=server.log)


@pytest.fixture
def two_mistakes(toy: Any) -> Any:
    """Splits transactions, and comes back at the newest revision after an end of its connection."""

    class TwoMistakes(toy.RightStore):  # type: ignore[misc, name-defined]
        began = False

        def resume_at(self) -> int | None:
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision: int, changes: Any) -> None:
            for key, value in changes:
                self.hand(Delivery(events=(Event(key, value, revision),)))

    return TwoMistakes


@pytest.fixture
def ends_with_a_reset(toy: Any) -> Any:
    """Its subscription ends with the first end of its connection, whatever that was."""

    class EndsAtOnce(toy.RightStore):  # type: ignore[misc, name-defined]
        def goes_on(self, error: Exception | None) -> bool:
            return False

    return EndsAtOnce


def lost(kind: Any, server: Any, **arguments: Any) -> verify.UpdateLost:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(kind, server, **{"settle": 0.3, "max_seconds": 20, "seed": 1, **arguments})
    return caught.value


@pytest.mark.slow
def test_what_is_told_is_what_the_first_failing_run_broke(two_mistakes: Any, server: Any) -> None:
    told = lost(two_mistakes, plain(server), faults=[Delay(0.01)])
    assert told.broken == ("atomic",)
    assert Sever() not in faults_of(told.schedule)


@pytest.mark.slow
def test_a_fault_that_plays_no_part_is_dropped(two_mistakes: Any, server: Any) -> None:
    told = lost(two_mistakes, plain(server), faults=[Delay(0.01)])
    subscribed, written = told.schedule
    assert subscribed == Subscribe()
    assert isinstance(written, WriteMany)
    assert len(written.keys) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", [Blackhole(on_heal="reset"), Cut(90, direction="down", how="rst")], ids=repr
)
def test_a_fault_that_was_asked_for_stays_as_it_was_given(
    ends_with_a_reset: Any, server: Any, asked: Fault
) -> None:
    told = lost(ends_with_a_reset, server, faults=[asked])
    assert set(faults_of(told.schedule)) == {asked}


@pytest.mark.slow
@pytest.mark.parametrize("asked", [Blackhole, Cut])
def test_a_kind_of_fault_that_was_asked_for_stays_one_of_its_kind(
    ends_with_a_reset: Any, server: Any, asked: type[Fault]
) -> None:
    told = lost(ends_with_a_reset, server, faults=[asked])
    assert {type(fault) for fault in faults_of(told.schedule)} == {asked}


@pytest.mark.slow
def test_a_sweep_tells_a_cut_of_the_way_that_was_asked_for(ends_with_a_reset: Any, server: Any) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.sweep(ends_with_a_reset, server, direction="down", how=["rst"], stride=7, settle=0.4)
    (fault,) = faults_of(caught.value.schedule)
    assert isinstance(fault, Cut)
    assert (fault.direction, fault.how) == ("down", "rst")


@pytest.mark.slow
def test_the_printed_schedule_fails_each_time(toy: Any, server: Any) -> None:
    class NeedsToHaveSeenOne(toy.RightStore):  # type: ignore[misc, name-defined]
        """Loses what comes after a restart, if it had got something before: 40 ms after it was written."""

        got = False

        def goes_on(self, error: Exception | None) -> bool:
            """It is away until the next change was made, however busy the machine is: for two seconds at most."""
            before = server.revision()
            for _ in range(200 if self.got else 0):
                if server.revision() > before or self._closed.wait(0.01):
                    break
            return True

        def on_events(self, revision: int, changes: Any) -> None:
            threading.Event().wait(0.04)
            super().on_events(revision, changes)
            self.got = True

        def resume_at(self) -> int | None:
            return None if self.got else self.next

    class Restarts:
        """The server, which can be restarted, and is slow about it at times."""

        address = server.address
        revision, log = server.revision, server.log
        restarts = 0

        def restart(self) -> None:
            Restarts.restarts += 1
            if Restarts.restarts % 4:
                threading.Event().wait(0.06)
            server.restart()

    told = lost(
        NeedsToHaveSeenOne,
        Restarts(),
        faults=[Delay(0.0)],
        seed=3,
        settle=1.0,
        max_examples=300,
        max_seconds=120,
        lanes=1,  # its client looks at what all others write
    )
    assert any(isinstance(step, Restart) for step in told.schedule)
    failed, plays = told.repeated
    assert failed == plays >= 10
    for _ in range(20):
        with pytest.raises(verify.UpdateLost):
            verify.replay(NeedsToHaveSeenOne, Restarts(), told.schedule, settle=1.0)


@pytest.mark.slow
def test_a_loss_that_does_not_come_each_time_is_told_with_its_rate_over_ten(toy: Any, server: Any) -> None:
    class MostOfThem(toy.RightStore):  # type: ignore[misc, name-defined]
        """Four of five subscribers lose what is written while they are away."""

        count = 0

        def subscribe(self, prefix: str, deliver: Any) -> None:
            MostOfThem.count += 1
            self.forgets, self.began = MostOfThem.count % 5, False
            super().subscribe(prefix, deliver)

        def resume_at(self) -> int | None:
            self.began, first = True, not self.began
            return None if self.forgets and not first else self.next

    told = lost(MostOfThem, plain(server), faults=[Sever])
    failed, plays = told.repeated
    assert plays >= 10
    assert 0 < failed < plays
    assert f"It failed in {failed} of {plays} plays." in str(told).replace("\n", " ")


@pytest.mark.slow
def test_an_error_while_it_is_made_small_does_not_hide_the_loss(ends_with_a_reset: Any, server: Any) -> None:
    class Sometimes(ends_with_a_reset):  # type: ignore[misc]
        opened = 0

        def __init__(self, address: str) -> None:
            Sometimes.opened += 1
            if Sometimes.opened > 4:
                raise LookupError("enough")
            super().__init__(address)

    schedule = lost(Sometimes, server, faults=[Reset], lanes=1).schedule
    assert any(isinstance(step, Write) for step in schedule)
