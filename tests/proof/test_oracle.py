from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault.checks.trace import Delivered
from pytest_netfault.proof.oracle import has_log
from pytest_netfault.schedules import Break, Delete, Heal, Schedule, Sever, Subscribe, WaitForEvents, Write
from pytest_netfault.store import Delivery, Event


def test_a_server_has_a_log_or_only_an_address(world: Any) -> None:
    assert has_log(world)
    assert not has_log(SimpleNamespace(address="x"))


LOSS = Schedule(
    [Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("b"), Delete("a"), Heal(), Write("c")]
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


# -- and with a look at what the store holds ------------------------------------------------------------------------


def readable(world: Any) -> SimpleNamespace:
    return SimpleNamespace(address="direct", read=world.state)


UNANSWERED = Schedule([Subscribe(), Write("a", via="link"), Write("b")])


@pytest.mark.parametrize(("looks", "broken"), [(True, ("complete",)), (False, ())])
def test_a_write_without_an_answer_that_the_store_holds_must_arrive(
    world: Any, looks: bool, broken: tuple[str, ...]
) -> None:
    def unanswered(_: Any, changes: Any) -> None:
        world.entries.append((world.current, list(changes.items())))  # nobody is told
        raise TimeoutError("no answer")

    world.server = readable(world) if looks else SimpleNamespace(address="direct")
    run = world.play(UNANSWERED, world.opener("resume", write=unanswered, blind=True))
    assert [one.outcome for one in run.writes][:2] == ["info", "ok"]
    assert run.broken == broken


@pytest.mark.parametrize("looks", [True, False])
def test_a_store_that_forgets_what_it_acknowledged_is_seen_by_looking(world: Any, looks: bool) -> None:
    def forgets(_: Any, changes: Any) -> None:
        before = list(world.entries)
        world.commit(changes)
        if "v3" in changes.values():
            world.entries = before

    world.server = readable(world) if looks else SimpleNamespace(address="direct")
    schedule = Schedule([Subscribe(), Write("a"), Write("a", via="link")])
    run = world.play(schedule, world.opener("resume", write=forgets, blind=True))
    assert run.broken == (("writes.lost",) if looks else ())


@pytest.mark.parametrize("state", [None, {"r17.a": b"1"}, {1: "1"}])
def test_a_state_that_is_none_is_refused_in_a_sentence(world: Any, state: object) -> None:
    world.server = SimpleNamespace(address="direct", read=lambda _: state)
    with pytest.raises(TypeError, match=r"server\.read\('r17\.'\) must return a mapping of keys to values"):
        world.play(LOSS, world.opener("resume"))


def test_what_is_not_judged_moves_the_time_of_nothing_else(world: Any) -> None:
    """Bookmarks of a store without a log stay in the trace, so that each delivery has its own time."""
    world.server = SimpleNamespace(address="direct")
    began = time.monotonic()
    later: list[float] = []

    def subscribe(_: Any, __: str, deliver: Any) -> None:
        deliver(Delivery(bookmark=3))
        later.append(time.monotonic())
        deliver(Delivery(events=(Event("r17.a", "invented"),)))

    run = world.play(LOSS, world.opener("never", subscribe=subscribe))
    assert len(run.delivered_at) == len(run.trace.stream) == 3
    assert began <= run.delivered_at[0] <= later[0] <= run.delivered_at[1]
    assert isinstance(run.trace.stream[1], Delivered)
    assert run.broken == ("phantom",)
