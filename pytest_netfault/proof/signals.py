"""What a play has shown, as signals: short texts that two plays share if they were alike there.

A guided search varies what has shown something that was not seen before. What it looks at is cheap, and is known of
every client: the events of the link, what passed on its connections, and what was delivered to the subscriber.

* An **end** is how a connection ended: who or which fault has ended it, and the *state of its wire*: in which turn of
  the conversation, which way, and whether all of the turn had come; where the protocol is known, in which frame.
* Between two ends lies **progress**: what was delivered meanwhile.

Sizes of what had come, and pairs of ends with their states, are no signals: with them half of all plays showed
something new, and the search found no more. Nor is the time of a recovery, which is another one each time.

Pure functions of a run. Nothing is asked of the clock, but the order in which things have happened.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_netfault.checks.trace import Delivered, Resynced, StreamItem
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Blackhole, Cut, Fault
from pytest_netfault.proof.contract import Run
from pytest_netfault.proxy.wire import ConnectionFrames

__all__ = ["KINDS", "signals_of", "turn_at"]

# Of long conversations only the beginning is told apart, turn by turn.
_TURNS = 5
_MOST_BEHIND = 4
_MOST_RECONNECTS = 12
_LONGEST_CHAIN = 3
# Whichever comes first: what a fault has ended is closed when the peers have noticed.
_ENDINGS = ("fin", "rst", "closed")
#: Which kinds of signals there are.
KINDS = ("behind", "chain", "ends", "recovery")


@dataclass(frozen=True)
class _End:
    """How a connection ended."""

    time: float
    by: str
    turn: str  # of the conversation: the state of the wire
    before: str = ""  # what was delivered since the end before it
    behind: int = 0  # how many writes were made by then since the last delivery


def signals_of(run: Run, kinds: Iterable[str] = KINDS) -> frozenset[str]:
    """What a run has shown.

    Args:
        run: played with ``learn``, so that it knows what passed on its connections.
        kinds: which kinds of signals; all by default.
    """
    return frozenset(f"{kind}: {text}" for kind, text in _signals(run) if kind in tuple(kinds))


def _by_fault(end: _End) -> bool:
    return end.by not in ("client", "upstream", "netfault")


def _signals(run: Run) -> Iterator[tuple[str, str]]:
    ends = list(_ends(run))
    for end in ends:
        yield "behind", f"{end.by} {end.turn} {end.behind}"
    bad = list(filter(_by_fault, ends))
    for size in range(2, _LONGEST_CHAIN + 1):
        for place in range(len(bad) - size + 1):
            chain = bad[place : place + size]
            yield "chain", ", ".join(f"{one.before} {_kind(one.by)}" for one in chain)
    yield "ends", str(min(len(ends), _MOST_RECONNECTS))
    for end, after in zip(bad, _after(run, bad), strict=True):
        yield "recovery", f"{end.by} {end.turn}, {after}"


def _kind(by: str) -> str:
    return by.partition(" ")[0]


def _ends(run: Run) -> Iterator[_End]:
    written = sorted(write.begun for write in run.writes if write.begun is not None and write.outcome == "ok")
    last = float("-inf")
    ended: set[int] = set()
    met: dict[int, str] = {}  # by the connection's number the fault that it met last
    for event in run.events:
        number = event.connection
        if number is None or number in ended:
            continue
        if event.kind == "hit" and event.fault is not None:
            met[number] = _name(event.fault)
        elif event.kind in _ENDINGS:
            ended.add(number)
            behind = bisect.bisect(written, event.time) - bisect.bisect(
                written, _last_delivery(run, event.time)
            )
            turn = _state(event, run.frames)
            before = _delivered(run, last, event.time)
            yield _End(event.time, _by(event, met.get(number)), turn, before, min(behind, _MOST_BEHIND))
            last = event.time


def _by(event: LinkEvent, met: str | None) -> str:
    """Who or what has ended a connection; of a peer, what it had met."""
    if event.fault is not None:
        return _name(event.fault)
    return f"{met} {event.by}" if met else event.by or "netfault"


def _name(fault: Fault) -> str:
    if isinstance(fault, Cut):
        return f"Cut {fault.how} {fault.direction}"
    if isinstance(fault, Blackhole):
        return f"Blackhole {fault.direction}"
    return type(fault).__name__


def _last_delivery(run: Run, until: float) -> float:
    place = bisect.bisect(run.delivered_at, until)
    return run.delivered_at[place - 1] if place else run.began


def _delivered(run: Run, since: float, until: float) -> str:
    """What came between two moments: letters for what, each once."""
    first, last = bisect.bisect(run.delivered_at, since), bisect.bisect(run.delivered_at, until)
    return "".join(sorted(set(_letters(run)[first:last]))) or "-"


def _after(run: Run, ends: Sequence[_End]) -> Iterator[str]:
    """For each end what was delivered first after it."""
    for end in ends:
        place = bisect.bisect(run.delivered_at, end.time)
        yield _letters(run)[place : place + 2] or "-"


def _letters(run: Run) -> str:
    """What was delivered, a letter for each item: a snapshot, several changes, a delete, a repeated value, a put."""
    values: dict[str, str | None] = {}
    return "".join(_letter(item, values) for item in run.trace.stream)


def _letter(item: StreamItem, values: dict[str, str | None]) -> str:
    if isinstance(item, Resynced):
        values.clear()
        values.update(item.kvs)
        return "s"
    if not isinstance(item, Delivered) or not item.events:
        return "o"
    last = item.events[-1]
    repeated = last.value is not None and values.get(last.key) == last.value
    values.update((event.key, event.value) for event in item.events)
    if len(item.events) > 1:
        return "m"
    return "=" if repeated else "d" if last.type == "delete" else "p"


def _state(event: LinkEvent, frames: Mapping[int, ConnectionFrames]) -> str:
    """The state of a connection's wire at an event."""
    if event.frames:
        spot = event.frames[0]
        return f"{spot.direction} {spot.side} {spot.type} {min(spot.number, _TURNS)}"
    carried = frames.get(event.connection or 0)
    turn, way, _, whole = turn_at(carried.turns if carried else (), event.bytes_up, event.bytes_down)
    return f"{way}{turn}{'' if whole else '+'}"


def turn_at(turns: Sequence[tuple[str, int]], up: int, down: int) -> tuple[int, str, int, bool]:
    """Which turn it was when so many bytes had passed each way, whose, how many of it, and whether it was all of it."""
    left = {"up": up, "down": down}
    now = (0, "up", 0, True)
    for number, (way, size) in enumerate(turns, start=1):
        if left[way] <= 0:
            break
        passed = min(size, left[way])
        left[way] -= passed
        now = (min(number, _TURNS), way, passed, passed == size)
    return now
