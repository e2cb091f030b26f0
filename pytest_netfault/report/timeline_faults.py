"""Faults on a time axis: when each was in force, and what it did, from the events of links.

Pure functions. Which fault did what is what the proxy recorded in the event; nothing is concluded from the time at
which something happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_netfault.common.wording import counted
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Fault, limits_of
from pytest_netfault.report.timeline import Card, Mark
from pytest_netfault.report.timeline_axis import milliseconds

__all__ = ["FaultSpan", "broke_card", "fault_spans"]


@dataclass
class FaultSpan:
    """A fault in time, or what was done to the server, which breaks connections too.

    Attributes:
        id: the name of its mark.
        label: what people read: the fault's expression.
        start: seconds since the beginning of the picture.
        end: when it was healed; None if it was in force until the end.
        until: the end of the picture.
        does: what it does, in words; empty if only its author knows.
        fault: what it was; None for what was done to the server.
        fault_id: its number on its link.
        met_at: when it was first seen to meet traffic.
        met: whether it met traffic.
        source: the line of the test that applied it.
        compacted: of a compaction, up to which revision the store has forgotten its history.
        encounter: the first time that it ended a connection; before that, the last time that it met one.
        ended: the connections that it ended, by number, with the event of each.
    """

    id: str
    label: str
    start: float
    end: float | None
    until: float
    does: str = ""
    fault: Fault | None = None
    fault_id: int | None = None
    met_at: float | None = None
    met: bool = False
    encounter: LinkEvent | None = None
    source: str = ""
    compacted: int | None = None
    ended: dict[int, LinkEvent] = field(default_factory=dict)

    @property
    def shade(self) -> tuple[float, float] | None:
        """The time in which it changed the traffic.

        That is while it was in force. A fault that takes effect at a byte is armed before, and is over at once
        where it ends the connection.
        """
        end = self.until if self.end is None else self.end
        if self.fault is not None and self.fault.takes_effect_at() is not None:
            if self.met_at is None:
                return None
            return (self.met_at, end if self.fault.stops_traffic(met=True) else self.met_at)
        return (self.start, self.start if self._at_once else end)

    @property
    def _at_once(self) -> bool:
        return self.fault is not None and self.fault.traits.momentary

    def mark(self, lane: str) -> Mark:
        """How it is drawn."""
        end = self.until if self.end is None else self.end
        end = self.start if self._at_once else max(end, self.start)
        details = [("what it does", self.does)] if self.does else []
        if self.source:
            details.append(("applied at", self.source))
        if self.fault is not None:
            details.append(("what it did", self.did or "met no traffic that was seen"))
            if self.end is None and end > self.start:
                details.append(("healed", "not before the end"))
        return Mark(
            id=self.id,
            lane=lane,
            start=self.start,
            end=end,
            label=self.label,
            tone="fault",
            shade=self.shade,
            details=tuple(details),
        )

    @property
    def did(self) -> str:
        """What it did, in words; empty if it met nothing that was seen."""
        event = self.encounter
        if (
            len(self.ended) > 1
        ):  # the one that a subscriber listens on has delivered more than the others, as a rule
            event = max(self.ended.values(), key=lambda one: one.bytes_down)
        if event is None:
            return "met traffic" if self.met else ""
        what = {"fin": "closed", "rst": "reset"}.get(event.kind, "met")
        number = "" if event.connection is None else f" #{event.connection}"
        spots = event.frames[:1] if self.fault is not None and self.fault.has_a_place() else ()
        where = "".join(f", {spot.direction} {spot}" for spot in spots)
        if len(self.ended) > 1:
            ended = counted(len(self.ended), "connection")
            what = f"{what} {ended}, of which{number} had delivered most to the client:"
            return f"{what} after {event.bytes_up} B up and {event.bytes_down} B down{where}"
        return f"{what} connection{number} after {event.bytes_up} B up and {event.bytes_down} B down{where}"

    def note(self, event: LinkEvent, at: float) -> None:
        """Take in one of its events."""
        if event.kind == "heal":
            self.end = at
            self.met = self.met or bool(event.met)
        elif event.kind in ("hit", "fin", "rst"):
            self.met = True
            self.met_at = at if self.met_at is None else self.met_at
            if event.kind != "hit" and event.connection is not None:
                self.ended.setdefault(event.connection, event)
            if self.encounter is None or self.encounter.kind == "hit":
                self.encounter = event


def fault_spans(
    events: Iterable[LinkEvent], *, since: float, until: float, prefix: str = "fault"
) -> list[FaultSpan]:
    """The faults that these events are about, in the order in which they came into force.

    Args:
        events: of one link or several, in their order.
        since: the beginning of the picture, on the clock of the events.
        until: its end, on the same clock.
        prefix: of their marks, which are named ``fault1``, ``fault2``, ...

    A fault that came into force before the first of these events is drawn from the beginning.
    """
    spans: dict[tuple[str, int], FaultSpan] = {}
    for event in events:
        if event.fault is None or event.fault_id is None:
            continue
        at = event.time - since
        which = (event.link, event.fault_id)
        if which not in spans:
            spans[which] = FaultSpan(
                id=f"{prefix}{len(spans) + 1}",
                label=repr(event.fault),
                start=at if event.kind == "fault" else min(0.0, at),
                end=None,
                until=until - since,
                does=_in_words(event.fault),
                fault=event.fault,
                fault_id=event.fault_id,
                source=event.source,
            )
        spans[which].note(event, at)
    return list(spans.values())


def _in_words(fault: Fault) -> str:
    """What a fault does, for whom and for how long; empty if only its author knows."""
    return ", ".join(filter(None, (fault.traits.effect, limits_of(fault).words())))


def broke_card(span: FaultSpan, mark: str = "", *, opening: str = "") -> Card:
    """The sentence above a picture that says where the network broke.

    >>> broke_card(FaultSpan("f", "Sever()", 0.1, 0.3, 1.0, "new connections are refused")).text
    'New connections are refused, from 100 ms to 300 ms.'
    >>> broke_card(FaultSpan("f", "Sever()", 3.256, 3.2623, 4.0, "they are closed")).text
    'They are closed, from 3.2560 s to 3.2623 s.'
    """
    start, end = span.shade or (span.start, span.end or span.start)
    first, last = milliseconds(start), milliseconds(end)
    if first == last:  # a few milliseconds, late in a long test
        first, last = f"{start:.4f} s", f"{end:.4f} s"
    when = f"at {milliseconds(start)}" if start == end else f"from {first} to {last}"
    does = span.does or "the network was broken"
    sentences = [opening, f"{does[0].upper()}{does[1:]}, {when}.", f"It {span.did}." if span.did else ""]
    return Card("broke", span.label, " ".join(filter(None, sentences)), mark or span.id)
