"""Cut at every byte: a small scenario, once for each place at which a connection of the client under test can end.

A few runs without a fault learn how many bytes each connection carries each way. Then the scenario is played again for
each place, with a cut exactly there. Connections have numbers, in the order in which the link takes them in, so that
"byte 212 down of connection 2" means the same in each run. A client that opens two at once has them come in either
order, and few clients send as many bytes each time: so there is a place as far as any of the runs got, and one that a
play does not reach is played again before it is called a hole.

Which places there are, and which belong to a shard, is decided by pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.faults import Cut, CutHow, Direction, Forget
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.limits import Deadline
from pytest_netfault.proof.shards import Shard
from pytest_netfault.schedules.dead_flows import dead_flows_of
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Delete,
    Subscribe,
    WaitForEvents,
    Write,
)

__all__ = [
    "LEARNING_RUNS",
    "SCENARIO",
    "Place",
    "carried",
    "fired",
    "in_words",
    "places",
    "play_place",
    "scenario_with",
    "with_dead_flows",
]

# Small, and yet: something there before, a put and a delete that are seen, a write of the subject's own, one after.
SCENARIO = Schedule(
    [
        Write("a"),
        Subscribe(),
        Write("b"),
        WaitForEvents(),
        Write("b", via="link"),
        Delete("a"),
        WaitForEvents(),
        Write("c"),
    ]
)
# Two connections that come in either order agree in three runs once in four times, and the plays of a place that is
# reached in every other one miss it once in eight.
LEARNING_RUNS = 3
_PLAYS_OF_A_PLACE = 3


@dataclass(frozen=True, order=True)
class Place:
    """One place at which a connection is cut."""

    connection: int
    direction: Literal["down", "up"]
    position: int
    how: CutHow

    @property
    def cut(self) -> Cut:
        """The fault that cuts there."""
        return Cut(self.position, self.direction, self.connection, self.how)


def places(
    traffic: Mapping[int, tuple[int, int]],
    *,
    direction: Direction,
    stride: int,
    how: Sequence[CutHow],
    shard: Shard,
) -> list[Place]:
    """Every place of this shard, given how many bytes each connection carries up and down.

    To which shard a place belongs is a matter of the place alone. Each machine learns for itself how many bytes there
    are, and a few more or less at the end of a connection must not move all the places behind it to other shards.

    >>> len(places({1: (10, 5), 2: (3, 0)}, direction="up", stride=2, how=("fin", "rst"), shard=Shard(1, 1)))
    14
    """
    ways: tuple[Literal["up", "down"], ...] = ("up", "down")
    return [
        Place(connection, way, position, kind)
        for connection, counts in sorted(traffic.items())
        for way, count in zip(ways, counts, strict=True)
        if direction in (way, "both")
        for turn, position in enumerate(range(0, count, stride))
        for number, kind in enumerate(how, start=turn * len(how) + connection)
        if shard.holds(number)
    ]


def carried(learned: Sequence[Run]) -> dict[int, tuple[int, int]]:
    """How many bytes each connection carried up and down, in the run in which it carried most."""
    most: dict[int, tuple[int, int]] = {}
    for run in learned:
        for number, (up, down) in run.traffic.items():
            before = most.get(number, (0, 0))
            most[number] = (max(before[0], up), max(before[1], down))
    return dict(sorted(most.items()))


def in_words(learned: Sequence[Run]) -> str:
    """What was learned: how many bytes each connection carried, from the least to the most."""
    words = []
    for number in carried(learned):
        ups, downs = zip(*(run.traffic.get(number, (0, 0)) for run in learned), strict=True)
        words.append(f"connection {number}: {_span(ups)} B up, {_span(downs)} B down")
    return ", ".join(words)


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"


def fired(run: Run) -> bool:
    """Whether a cut of the run was made."""
    return any(fault.met_traffic for fault in run.faults)


def scenario_with(scenario: Schedule, place: Place, *, lasting: bool = False) -> Schedule:
    """The scenario with a cut that waits at this place from the start."""
    return Schedule([Break(place.cut, lasting), *scenario.steps])


def dead_places(wanted: Sequence[Place]) -> list[Place]:
    """Those at which the connection is also cut for good and without a word: a few of the silent ones, spread evenly.

    >>> [place.position for place in dead_places([Place(1, "down", at, "blackhole") for at in range(100)])]
    [10, 30, 50, 70, 90]
    """
    silent = [place for place in wanted if place.how == "blackhole"]
    count = min(len(silent), dead_flows_of(len(silent)))
    return [silent[(2 * number + 1) * len(silent) // (2 * count)] for number in range(count)]


def with_dead_flows(scenario: Schedule, wanted: Sequence[Place]) -> list[Schedule]:
    """The scenario with a flow that dies for good: while it is idle, and at a few of the silent places.

    None if nothing is to be cut in silence.
    """
    aside = dead_places(wanted)
    if not aside:
        return []
    steps = list(scenario.steps)
    subscribed = steps.index(Subscribe())
    # As late as can be: a client that writes over a dead flow may notice by that.
    idle = max(at for at, step in enumerate(steps) if at == subscribed or isinstance(step, WaitForEvents))
    forgotten = Schedule([*steps[: idle + 1], Break(Forget()), *steps[idle + 1 :]])
    return [forgotten, *(scenario_with(scenario, place, lasting=True) for place in aside)]


def play_place(bench: Bench, schedule: Schedule, until: Deadline | None = None) -> Run:
    """Play it until its cut is made, but not more often than it is worth."""
    for _ in range(_PLAYS_OF_A_PLACE - 1):
        run = bench.play(schedule, deadline=until)
        if fired(run) or run.broken or run.cut_short:
            return run
    return bench.play(schedule, deadline=until)
