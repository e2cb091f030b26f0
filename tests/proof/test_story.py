"""What the story of a loss says of each write."""

from __future__ import annotations

from typing import Any

from pytest_netfault.proof.story import tell
from pytest_netfault.schedules import Break, Delete, Schedule, Sever, Subscribe, WaitForEvents, Write
from pytest_netfault.store import WriteRejected


def rows(world: Any, *steps: Any, **flaws: Any) -> list[str]:
    """What stands behind each step."""
    run = world.play(Schedule(steps), world.opener("never", **flaws))
    told = tell(
        run, found="", repeated=(1, 1), seed=1, promise="every-event", settle=5.0, trace_path=None
    ).splitlines()
    return [
        line.split(f"{step!r}", 1)[1].strip()
        for number, step in enumerate(steps, start=1)
        for line in told
        if line.startswith(f"{number:>5}  {step!r}")
    ]


def rejects(_client: Any, _changes: Any) -> None:
    raise WriteRejected("no such key")


def test_a_rejected_delete_is_not_told_as_the_delete_of_another_write(world: Any) -> None:
    steps = [Delete("c", via="link"), Subscribe(), Write("c"), WaitForEvents(), Break(Sever()), Delete("c")]
    first, *_, last = rows(world, *steps, write=rejects)
    assert first == "rejected"
    assert last == "revision 3, NEVER ARRIVED"


def test_each_of_several_deletes_has_its_own_revision(world: Any) -> None:
    steps = [Subscribe(), Write("c"), Delete("c"), Delete("c"), Write("c"), Delete("c")]
    told = rows(world, *steps, Break(Sever()), Write("a"))
    assert len(told) == 8
    assert told[2] == "revision 3, arrived"
    assert told[3] == "changed nothing"
    assert told[5] == "revision 5, arrived"
    assert told[7] == "revision 6, NEVER ARRIVED"


def test_a_put_that_was_rejected_and_is_in_the_log_is_told_with_its_revision(world: Any) -> None:
    def applies(client: Any, changes: Any) -> None:
        client.world.commit(changes)
        raise WriteRejected("certainly not applied")

    told = rows(world, Subscribe(), Write("a", via="link"), write=applies)
    assert told[1] == "rejected, revision 2, arrived"
