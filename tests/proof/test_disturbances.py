"""What is noted of the way to a subscriber that promises to come back."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault.checks.trace import Disturbance
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Sever
from pytest_netfault.proof.disturbances import Disturbances
from pytest_netfault.schedules import Break, Heal, Pause, Resume, Schedule, Subscribe, Write


class Watched:
    def __init__(self) -> None:
        self.events: tuple[LinkEvent, ...] = ()
        self.restarts = 0
        self.asked = 0
        self.noted = Disturbances(lambda: self.events, lambda: self.restarts)

    def happens(self, kind: Any, by: Any = None) -> None:
        self.events += (LinkEvent(0.0, "link", kind, by=by),)

    def note(self, delivered: int, revision: int) -> tuple[Disturbance, ...]:
        def ask() -> int:
            self.asked += 1
            return revision

        self.noted.note(delivered, ask)
        return self.noted.last


@pytest.mark.parametrize(
    ("kind", "by", "who"),
    [
        ("fault", "netfault", "network"),
        ("hit", "netfault", "network"),
        ("heal", "netfault", "network"),
        ("fin", "netfault", "network"),
        ("rst", "netfault", "network"),
        ("accepted", "client", "client"),
        ("fin", "client", "client"),
        ("rst", "upstream", "client"),
        ("upstream_failed", "upstream", "client"),
    ],
)
def test_each_thing_that_disturbs_is_noted(kind: Any, by: Any, who: Any) -> None:
    watched = Watched()
    watched.happens(kind, by)
    assert watched.note(3, 7) == (Disturbance(7, 3, who),)


@pytest.mark.parametrize(
    ("kind", "by"), [("closed", "netfault"), ("closed", "client"), ("connected", "upstream")]
)
def test_nothing_else_is(kind: Any, by: Any) -> None:
    watched = Watched()
    watched.happens(kind, by)
    assert watched.note(3, 7) == ()
    assert not watched.asked  # and the store is not asked for anything


def test_what_was_before_the_subscription_does_not_count() -> None:
    watched = Watched()
    watched.happens("fault", "netfault")
    watched.noted.begin()
    assert watched.note(0, 5) == ()


def test_a_restart_is_noted_once() -> None:
    watched = Watched()
    watched.restarts = 1
    assert watched.note(1, 5) == (Disturbance(5, 1),)
    assert watched.note(2, 6) == (Disturbance(5, 1),)
    assert watched.asked == 1


def test_only_the_last_of_each_is_kept() -> None:
    watched = Watched()
    watched.happens("fault", "netfault")
    watched.note(1, 5)
    watched.happens("accepted", "client")
    assert watched.note(1, 6) == (Disturbance(5, 1), Disturbance(6, 1, "client"))
    watched.happens("heal", "netfault")
    assert watched.note(2, 8) == (Disturbance(6, 1, "client"), Disturbance(8, 2))


def test_a_run_notes_them_for_this_promise_only(world: Any) -> None:
    schedule = Schedule([Subscribe(), Write("a"), Break(Sever()), Write("a"), Heal(), Write("b")])
    run = world.play(schedule, world.opener("now"), promise="comes-back")
    assert run.verdict.verdict == "kept"
    assert [(one.by, one.revision) for one in run.naming.disturbances] == [("client", 3), ("network", 3)] or [
        (one.by, one.revision) for one in run.naming.disturbances
    ] == [("network", 3), ("client", 3)]


def test_without_an_outage_all_must_arrive(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Write("a")]), promise="comes-back")
    assert run.naming.disturbances == ()
    assert run.verdict.verdict == "kept"


def test_no_other_promise_has_any(world: Any) -> None:
    assert world.play(Schedule([Subscribe(), Write("a")])).naming.disturbances is None


def test_a_pause_of_the_server_disturbs_when_it_is_over(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Pause(), Resume(), Write("a")]), promise="comes-back")
    assert [one.by for one in run.naming.disturbances] == ["network"]
    assert run.verdict.verdict == "kept"


def test_one_more_write_shows_that_the_subscriber_stays(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Break(Sever())]), world.opener("now"), promise="comes-back")
    assert [write.place for write in run.writes] == [None, None]
    assert run.arrivals == (2, 2)


def test_a_deaf_client_is_told_of_as_one(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Break(Sever())]), world.opener("never"), promise="comes-back")
    assert run.broken == ("complete",)
