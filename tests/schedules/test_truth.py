from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import pytest

from pytest_netfault.checks.trace import LogEvent, Revision
from pytest_netfault.schedules import Break, Delete, Heal, Schedule, Seen, Sever, Subscribe, Write
from pytest_netfault.schedules.recording import WriteRecord
from pytest_netfault.schedules.subject import Delivery, Event
from pytest_netfault.schedules.truth import has_log, journal

Outcome = Literal["ok", "fail", "info"]


def write(outcome: Outcome, value: str | None, key: str = "r17.a") -> WriteRecord:
    return WriteRecord(1, "link", ((key, value),), outcome, 0.0, 1.0)


def seen(*values: str | None) -> list[Delivery]:
    return [Delivery(events=(Event("r17.a", value),)) for value in values]


@pytest.mark.parametrize(
    ("writes", "handed", "made"),
    [
        ([write("ok", "1")], [], {2: "1"}),
        ([write("fail", "1"), write("ok", "2")], [], {3: "2"}),
        ([write("info", "1"), write("ok", "2")], [], {3: "2"}),
        ([write("info", "1"), write("ok", "2")], seen("1"), {2: "1", 3: "2"}),
        ([write("fail", "1")], seen("1"), {}),
        ([write("ok", "1"), write("ok", None)], [], {2: "1", 3: None}),
        ([write("ok", None)], [], {}),
        ([write("ok", None)], seen(None), {2: None}),
        ([write("ok", "1"), write("ok", None), write("ok", None)], [], {2: "1", 3: None}),
        ([write("ok", "1"), write("info", None), write("ok", None)], [], {2: "1"}),
        ([write("info", "1"), write("ok", None)], [], {}),
        ([write("info", "1"), write("ok", "1")], seen("1"), {3: "1"}),
        ([write("info", "1"), write("ok", "1")], seen("1", "1"), {2: "1", 3: "1"}),
        ([write("ok", None), write("ok", "1"), write("ok", None)], seen("1", None), {3: "1", 4: None}),
    ],
)
def test_the_journal_holds_what_was_surely_made(
    writes: list[WriteRecord], handed: list[Delivery], made: dict[int, str | None]
) -> None:
    assert journal(writes, handed) == tuple(
        Revision(revision, (LogEvent("delete" if value is None else "put", "r17.a", value),))
        for revision, value in made.items()
    )


def test_a_server_has_a_log_or_only_an_address(world: Any) -> None:
    assert has_log(world)
    assert not has_log(SimpleNamespace(address="x"))


LOSS = Schedule(
    [Subscribe(), Write("a"), Seen(), Break(Sever()), Write("b"), Delete("a"), Heal(), Write("c")]
)


def play(world: Any, *arguments: Any, **flaws: Any) -> Any:
    """As for a store of which nothing is known but where it is."""
    world.server = SimpleNamespace(address="direct")
    return world.play(LOSS, world.opener(*arguments, **flaws))


@pytest.mark.parametrize("blind", [True, False])
def test_without_a_log_a_right_client_is_proved(world: Any, blind: bool) -> None:
    run = play(world, "resume", blind=blind)
    assert run.broken == ()
    assert run.conclusive
    assert run.acknowledged == 5


@pytest.mark.parametrize("after_outage", ["now", "never"])
def test_without_a_log_what_was_acknowledged_and_never_arrives_is_lost(world: Any, after_outage: str) -> None:
    run = play(world, after_outage, blind=True)
    assert run.broken == ("complete",)
    assert "r17.b" in {event.key for event in run.verdict.lost}


def test_without_a_log_what_nobody_wrote_is_a_phantom(world: Any) -> None:
    def subscribe(_: Any, __: str, deliver: Any) -> None:
        deliver(Delivery(events=(Event("r17.a", "invented"),)))

    assert "phantom" in play(world, "resume", subscribe=subscribe, blind=True).broken
