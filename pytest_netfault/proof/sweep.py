"""Cut at every byte, or at places in every frame: a small scenario, once for each place at which a connection can end.

A few runs without a fault learn how many bytes each connection carries each way. Then the scenario is played again for
each place, with a cut exactly there. Connections have numbers, in the order in which the link takes them in, so that
"byte 212 down of connection 2" means the same in each run. A client that opens two at once has them come in either
order, and few clients send as many bytes each time: so there is a place as far as any of the runs got, and one that a
play does not reach is played again before it is called a hole.

Where a connection speaks a protocol that the kit knows, three places stand for all bytes of a frame: before its first
byte, inside it, and before its last byte. Bytes that lie beside each other in a frame differ for no parser of it, and
what lies in one chunk for the client's code is the frame.

With a ``Break`` of its own in the scenario the recovery from that is swept: the cut waits for the connections that come
after it, and they are numbered from there.

Which places there are, and which belong to a shard, is decided by pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_netfault.faults import Cut, CutHow, Direction, Forget, Frame
from pytest_netfault.faults.frame import Where
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.limits import Deadline
from pytest_netfault.proof.shards import Shard
from pytest_netfault.proxy.wire import ConnectionFrames
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
    "Learned",
    "Place",
    "Wanted",
    "carried",
    "fired",
    "in_words",
    "places",
    "places_of",
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
# Of a frame of one byte only the first of them, of one of two bytes two.
_IN_A_FRAME: tuple[Where, ...] = ("start", -1, "middle")


@dataclass(frozen=True, order=True)
class Place:
    """One place at which a connection is cut."""

    connection: int
    direction: Literal["down", "up"]
    position: int  # a byte, or the ordinal of a place in frames
    how: CutHow
    at: Frame | None = None

    @property
    def cut(self) -> Cut:
        """The fault that cuts there."""
        if self.at is not None:
            return Cut(direction=self.direction, connection=self.connection, how=self.how, at=self.at)
        return Cut(self.position, self.direction, self.connection, self.how)


@dataclass(frozen=True)
class Wanted:
    """Which places are wanted.

    Attributes:
        direction: whose places are tried.
        stride: only every so many-th position, or frame, is tried.
        how: the ways in which a connection ends there.
        frames: places in frames, and bytes only where there are none.
    """

    direction: Direction = "both"
    stride: int = 1
    how: tuple[CutHow, ...] = ("fin", "rst", "blackhole")
    frames: bool = False


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


def places_of(learned: Sequence[Learned], wanted: Wanted, shard: Shard) -> list[Place]:
    """Every wanted place of this shard, given what some runs have shown."""
    ways: tuple[Literal["up", "down"], ...] = (
        ("up", "down") if wanted.direction == "both" else (wanted.direction,)
    )
    found: list[Place] = []
    for number, counts in carried([one.traffic for one in learned]).items():
        for way in ways:
            seen = [one.frames[number] for one in learned if number in one.frames]
            framed = _in_frames(number, way, seen, wanted, shard) if wanted.frames else None
            found += (
                places({number: counts}, direction=way, stride=wanted.stride, how=wanted.how, shard=shard)
                if framed is None
                else framed
            )
    return found


def _in_frames(
    connection: int,
    way: Literal["up", "down"],
    seen: Sequence[ConnectionFrames],
    wanted: Wanted,
    shard: Shard,
) -> list[Place] | None:
    """The places in frames of one direction of a connection; None if it has none, or not to its end."""
    protocols = {one.protocol for one in seen}
    lost = [one.lost_up if way == "up" else one.lost_down for one in seen]
    protocol = protocols.pop() if len(protocols) == 1 else None
    if protocol is None or any(position is not None for position in lost):
        return None
    sizes: dict[int, int] = {}
    for one in seen:
        for frame in one.up if way == "up" else one.down:
            if frame.index is not None:
                sizes[frame.index] = max(sizes.get(frame.index, 0), frame.end - frame.start)
    return [
        Place(connection, way, turn, kind, Frame(protocol, index, where=where))
        for index, size in sorted(sizes.items())
        if (index - 1) % wanted.stride == 0
        for turn, where in enumerate(
            _IN_A_FRAME[: min(size, len(_IN_A_FRAME))], start=index * len(_IN_A_FRAME)
        )
        for number, kind in enumerate(wanted.how, start=turn * len(wanted.how) + connection)
        if shard.holds(number)
    ]


@dataclass(frozen=True)
class Learned:
    """What one run has shown.

    Attributes:
        traffic: for each connection, how many bytes it carried up and down.
        frames: for each connection, the frames that it carried.
    """

    traffic: Mapping[int, tuple[int, int]]
    frames: Mapping[int, ConnectionFrames] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, scenario: Schedule) -> Learned:
        """What a run of the scenario has shown; of a scenario with a ``Break``, what came after that."""
        if not scenario.faults:
            return cls(run.traffic, run.frames)
        before = _accepted_before(run)
        if before is None:
            return cls({})
        return cls(
            {number - before: counts for number, counts in run.traffic.items() if number > before},
            {number - before: frames for number, frames in run.frames.items() if number > before},
        )


def _accepted_before(run: Run) -> int | None:
    """How many connections came before the first fault of the run; None if it had no fault."""
    if not run.faults:
        return None
    accepted = 0
    for event in run.events:
        if event.kind == "fault" and event.fault_id == run.faults[0].fault_id:
            break
        accepted += event.kind == "accepted"
    return accepted


def carried(traffics: Sequence[Mapping[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    """How many bytes each connection carried up and down, in the run in which it carried most."""
    most: dict[int, tuple[int, int]] = {}
    for traffic in traffics:
        for number, (up, down) in traffic.items():
            before = most.get(number, (0, 0))
            most[number] = (max(before[0], up), max(before[1], down))
    return dict(sorted(most.items()))


def in_words(learned: Sequence[Learned], *, frames: bool = False) -> str:
    """What was learned: how many bytes, or frames, each connection carried, from the least to the most."""
    words = []
    for number in carried([one.traffic for one in learned]):
        ups, downs = zip(*(one.traffic.get(number, (0, 0)) for one in learned), strict=True)
        words.append(f"connection {number}: {_span(ups)} B up, {_span(downs)} B down")
        seen = [one.frames[number] for one in learned if number in one.frames]
        if frames and seen and seen[0].protocol is not None:
            up, down = (
                _span([sum(one.index is not None for one in half) for half in halves])
                for halves in ([one.up for one in seen], [one.down for one in seen])
            )
            words[-1] += f" ({seen[0].protocol}: {up} frames up, {down} down)"
    return ", ".join(words)


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"


def fired(run: Run) -> bool:
    """Whether the cut of the sweep was made in this run."""
    place = _place_of_cut(run.schedule)
    return any(fault.met_traffic for fault in run.faults if fault.place == place)


def _place_of_cut(schedule: Schedule) -> int:
    waiting = (
        place for place, step in enumerate(schedule, start=1) if isinstance(step, Break) and step.in_recovery
    )
    return next(waiting, 1)


def scenario_with(scenario: Schedule, place: Place, *, lasting: bool = False) -> Schedule:
    """The scenario with a cut that waits at this place from the start, or from its first ``Break`` on."""
    steps = list(scenario.steps)
    first = next((at for at, step in enumerate(steps) if isinstance(step, Break)), None)
    if first is None:
        return Schedule([Break(place.cut, lasting), *steps])
    return Schedule([*steps[:first], Break(place.cut, lasting, in_recovery=True), *steps[first:]])


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
