"""What a link did, as marks: its faults as spans, its connections as bars with their bytes.

Rules of this file: pure functions from the records of ``events.py``; ``since`` is the beginning of the picture on
their clock. What has no end among the events was still there at ``until``. Which fault did what is what the proxy wrote
into the event; nothing is concluded from the time at which it happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pytest_netfault.events import LinkEvent
from pytest_netfault.report.timeline import Mark, Tone, packed

__all__ = ["WORDS", "connection_marks", "fault_marks", "in_words"]

# What a reader who has never heard of a fault needs to know of it.
WORDS = {
    "Sever": "connections are closed, and new ones are refused",
    "Reset": "connections are reset",
    "Refuse": "new connections are refused",
    "Blackhole": "silence: nothing passes, and nothing is closed",
    "Delay": "bytes arrive late",
    "Throttle": "bytes arrive slowly",
    "Slice": "bytes arrive in small pieces",
    "Corrupt": "bytes are changed on the way",
    "Lose": "packets are lost",
    "Cut": "a connection is cut at an exact byte",
    "StallAccept": "connecting hangs",
    "Forget": "open connections are mute for good, new ones are served",
}


def in_words(expression: str) -> str:
    """What a fault does, given its expression; "" for one that only its author knows.

    >>> in_words("Cut(700, how='rst')"), in_words("Mine()")
    ('a connection is cut at an exact byte', '')
    """
    return WORDS.get(expression.partition("(")[0], "")


@dataclass
class _Fault:
    expression: str
    start: float
    end: float | None = None
    met: float | None = None
    did: str = ""


def fault_marks(
    events: Iterable[LinkEvent], *, lane: str, since: float, until: float, prefix: str = "fault"
) -> tuple[Mark, ...]:
    """One mark for each fault that came into force, named ``prefix1``, ``prefix2``, ... in that order.

    A fault is shaded while it holds. A ``Cut`` is not: it lies in wait, and is shaded from the moment at which it
    cuts; if that ends the connection, the moment is all there is. A fault that came into force before the first of
    these events is drawn from the beginning.
    """
    faults: dict[tuple[str, int], _Fault] = {}
    for event in events:
        if event.fault_id is None:
            continue
        start = event.time if event.kind == "fault" else min(since, event.time)
        fault = faults.setdefault((event.link, event.fault_id), _Fault(event.fault, start))
        if event.kind == "heal":
            fault.end = event.time
        elif event.kind in ("hit", "fin", "rst"):
            _meet(fault, event)
    return tuple(
        _fault_mark(fault, f"{prefix}{number}", lane=lane, since=since, until=until)
        for number, fault in enumerate(faults.values(), start=1)
    )


def _meet(fault: _Fault, event: LinkEvent) -> None:
    """Take down what a fault did to a connection."""
    fault.met = event.time if fault.met is None else fault.met
    number = "" if event.connection is None else f" #{event.connection}"
    done = {"fin": "closed", "rst": "reset"}.get(event.kind, "met")
    if not fault.did or fault.did.startswith("met"):
        fault.did = f"{done} connection{number} after {event.bytes_up} B up and {event.bytes_down} B down"


def _fault_mark(fault: _Fault, name: str, *, lane: str, since: float, until: float) -> Mark:
    end = until if fault.end is None else fault.end
    shade: tuple[float, float] | None = (fault.start - since, end - since)
    if fault.expression.startswith(("Reset(", "Forget(")):
        end = fault.start  # done at once: there is nothing that holds
        shade = (fault.start - since, fault.start - since)
    elif fault.expression.startswith("Cut("):
        lasts = "blackhole" in fault.expression
        shade = None if fault.met is None else (fault.met - since, (end if lasts else fault.met) - since)
    words = in_words(fault.expression)
    details = [("what it does", words)] if words else []
    details.append(("what it did", fault.did or "met no traffic that was seen"))
    if fault.end is None and end > fault.start:
        details.append(("healed", "not before the end"))
    return Mark(
        id=name,
        lane=lane,
        start=fault.start - since,
        end=max(end, fault.start) - since,
        label=fault.expression,
        tone="fault",
        shade=shade,
        details=tuple(details),
    )


def connection_marks(
    events: Iterable[LinkEvent], *, lane: str, since: float, until: float, prefix: str = "connection"
) -> tuple[tuple[Mark, ...], int]:
    """One bar for each connection with the bytes it delivered, and a moment for each thing that happened to it.

    Returns:
        The marks, and how many rows they need.
    """
    open_bars: dict[tuple[str, int], Mark] = {}
    bars: list[Mark] = []
    moments: list[tuple[str, Mark]] = []  # each with the bar that it belongs to
    for place, event in enumerate(events):
        if event.connection is None:
            continue
        which = (event.link, event.connection)
        at = event.time - since
        bar = open_bars.get(which)
        if event.kind == "accepted" or bar is None:
            bar = Mark(f"{prefix}-{event.link}-{event.connection}", lane, at, None, "", tone="plain")
        bar = replace(
            bar,
            label=f"#{event.connection}  \u2191 {_size(event.bytes_up)}  \u2193 {_size(event.bytes_down)}",
            short=f"#{event.connection}",
            details=(
                ("delivered to the server", f"{event.bytes_up} B"),
                ("delivered to the client", f"{event.bytes_down} B"),
                *(pair for pair in bar.details if pair[0] not in _COUNTS),
            ),
        )
        if event.kind == "accepted":
            bar = replace(bar, details=(*bar.details, ("from", event.detail)))
        elif event.kind == "closed" and event.by is not None:
            bar = replace(bar, details=(*bar.details, ("ended by", _who(event))))
        elif event.kind not in ("connected", "closed"):
            moments.append((bar.id, _moment(event, at, f"{prefix}-event{place}", lane)))
        open_bars[which] = bar
        if event.kind == "closed":
            bars.append(replace(open_bars.pop(which), end=max(at, bar.start)))
    still = [replace(bar, end=max(until - since, bar.start)) for bar in open_bars.values()]
    placed, rows = packed([*bars, *still])
    row = {bar.id: bar.row for bar in placed}
    return (*placed, *(replace(mark, row=row[bar]) for bar, mark in moments)), rows


_COUNTS = ("delivered to the server", "delivered to the client")


def _moment(event: LinkEvent, at: float, name: str, lane: str) -> Mark:
    ours = event.by == "netfault"
    who = _who(event)
    words = {
        "fin": f"closed by {who} (FIN)",
        "rst": f"reset by {who} (RST)",
        "upstream_failed": "the server could not be reached",
        "hit": f"meets {event.detail}",
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
            *([("more", event.detail)] if event.detail and event.kind != "hit" else []),
        ),
    )


def _who(event: LinkEvent) -> str:
    """Who did it, as the proxy wrote it down."""
    names = {"netfault": event.fault or "the link", "client": "the client", "upstream": "the server"}
    return names.get(event.by or "", "")


def _size(count: int) -> str:
    """A number of bytes in few characters.

    >>> _size(457), _size(12_345), _size(7_200_000)
    ('457 B', '12.3 kB', '7.2 MB')
    """
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
