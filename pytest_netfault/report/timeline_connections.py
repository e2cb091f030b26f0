"""Connections on a time axis: a bar for each with the bytes that it delivered, and moments for what happened to it.

Pure functions of the events of links. What has no end among the events was still there at the end of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pytest_netfault.events import LinkEvent
from pytest_netfault.report.timeline import Mark, Tone, packed

__all__ = ["connection_marks"]


def connection_marks(
    events: Iterable[LinkEvent], *, lane: str, since: float, until: float, prefix: str = "connection"
) -> tuple[tuple[Mark, ...], int]:
    """One bar for each connection with the bytes it delivered, and a moment for each thing that happened to it.

    Returns:
        The marks, and how many rows they need.
    """
    bars: dict[tuple[str, int], _Bar] = {}
    moments: list[tuple[str, Mark]] = []  # each with the bar that it belongs to
    for place, event in enumerate(events):
        if event.connection is None:
            continue
        which, at = (event.link, event.connection), event.time - since
        if which not in bars:
            bars[which] = _Bar(f"{prefix}-{event.link}-{event.connection}", at, event)
        bar = bars[which]
        bar.last = event
        if event.kind == "closed":
            bar.end = at
        elif event.kind not in ("accepted", "connected"):
            moments.append((bar.id, _moment(event, at, f"{prefix}-event{place}", lane)))
    placed, rows = packed(bar.mark(lane, until - since) for bar in bars.values())
    row = {mark.id: mark.row for mark in placed}
    return (*placed, *(replace(mark, row=row[bar]) for bar, mark in moments)), rows


@dataclass
class _Bar:
    """A connection: its first event that is known, its last one, and its end if that is known."""

    id: str
    start: float
    first: LinkEvent
    last: LinkEvent = field(init=False)
    end: float | None = None

    def mark(self, lane: str, until: float) -> Mark:
        last = self.last
        details = [
            ("delivered to the server", f"{last.bytes_up} B"),
            ("delivered to the client", f"{last.bytes_down} B"),
        ]
        if self.first.kind == "accepted":
            details.append(("from", self.first.address))
        if last.kind == "closed" and last.by is not None:
            details.append(("ended by", _who(last)))
        return Mark(
            id=self.id,
            lane=lane,
            start=self.start,
            end=max(until if self.end is None else self.end, self.start),
            label=f"#{last.connection}  \u2191 {_size(last.bytes_up)}  \u2193 {_size(last.bytes_down)}",
            short=f"#{last.connection}",
            tone="plain",
            details=tuple(details),
        )


def _moment(event: LinkEvent, at: float, name: str, lane: str) -> Mark:
    ours = event.by == "netfault"
    who = _who(event)
    words = {
        "fin": f"closed by {who} (FIN)",
        "rst": f"reset by {who} (RST)",
        "upstream_failed": "the server could not be reached",
        "hit": f"meets {' '.join(filter(None, (repr(event.fault), event.direction)))}",
    }
    tone: Tone = "fault" if ours else "plain"
    if event.kind == "upstream_failed":
        tone = "bad"
    return Mark(
        id=name,
        lane=lane,
        start=at,
        end=at,
        label=f"#{event.connection} {words.get(event.kind, event.kind)}",
        short="",
        tone=tone,
        shape="cut" if ours and event.kind in ("fin", "rst") else "cross" if event.kind == "rst" else "flag",
        details=(
            ("bytes by then", f"{event.bytes_up} up, {event.bytes_down} down"),
            *[(f"frame {spot.direction}", str(spot)) for spot in event.frames],
            *([("address", event.address)] if event.address else []),
            *([("more", event.detail)] if event.detail else []),
            *([("direction", event.direction)] if event.direction and event.kind in ("fin", "rst") else []),
        ),
    )


def _who(event: LinkEvent) -> str:
    """Who did it, as the proxy recorded it."""
    ours = "the link" if event.fault is None else repr(event.fault)
    names = {"netfault": ours, "client": "the client", "upstream": "the server"}
    return names.get(event.by or "", "")


def _size(count: int) -> str:
    """A number of bytes in few characters.

    >>> _size(457), _size(12_345), _size(7_200_000)
    ('457 B', '12.3 kB', '7.2 MB')
    """
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
