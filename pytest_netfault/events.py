"""What happened on a link, in order, on one clock.

A :class:`LinkEvent` is written by the proxy at the moment something happens: a connection is accepted, a
fault comes into force, a FIN arrives. Logs, failure reports and assertions all read these same records.

Rules of this file: only the standard library; frozen data; ``time`` is ``time.monotonic()`` of the test
process in seconds; a position counts the bytes of that direction delivered to the receiver so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_netfault.common.printable import printable

__all__ = [
    "CONNECTION_STATES",
    "Actor",
    "Cause",
    "ConnectionState",
    "EventKind",
    "LinkEvent",
    "LinkWarning",
    "describe",
]

Actor = Literal["client", "upstream", "netfault"]

EventKind = Literal[
    "accepted",  # a client's connection was taken
    "connected",  # ... and the upstream answered
    "upstream_failed",  # ... or did not; the client gets RST
    "fin",  # this side ended its direction in order; a fault ends both
    "rst",  # this side, or a fault, reset the connection
    "closed",  # nothing of the connection is left; ``by`` and ``fault`` say who ended it
    "fault",  # a fault came into force
    "hit",  # a fault first met traffic (bytes, an ending or a connection)
    "heal",  # a fault is gone
    "trouble",  # the machine could not do something, such as accept a connection for want of descriptors
]

ConnectionState = Literal["connecting", "open", "half-closed", "forgotten", "closing", "closed"]
CONNECTION_STATES: tuple[ConnectionState, ...] = (
    "connecting",
    "open",
    "half-closed",
    "forgotten",
    "closing",
    "closed",
)


class LinkWarning(UserWarning):
    """Something about a link that a test author should look at, such as a fault that met no traffic."""

    __module__ = "pytest_netfault"  # where users import it from, and short in a summary


@dataclass(frozen=True)
class Cause:
    """Who did something on a link: a peer, a fault, or the link itself where there is no fault.

    Attributes:
        by: the peer, or ``"netfault"``.
        fault: the expression of the fault that did it, or empty.
        fault_id: its number on the link, from 1 in the order in which the faults came into force.
    """

    by: Actor = "netfault"
    fault: str = ""
    fault_id: int | None = None


@dataclass(frozen=True)
class LinkEvent:
    """One thing that happened on a link.

    Attributes:
        time: seconds, ``time.monotonic()``.
        link: the link's name.
        kind: what happened, see :data:`EventKind`.
        connection: the connection's number on its link, from 1, or None where the event concerns the link.
        by: who did it: ``"client"``, ``"upstream"`` or ``"netfault"``. A FIN or RST that is carried from one side to
            the other is an event of the side that sent it, and of nobody else.
        bytes_up: bytes delivered from client to upstream on that connection when it happened.
        bytes_down: the same from upstream to client.
        detail: the fault's expression, an address, or the error, in words.
        fault: the expression of the fault that the event is about, or that did it; else empty.
        fault_id: that fault's number on the link, from 1 in the order in which the faults came into force.
        direction: of a hit, which direction the fault met traffic in, where that is known.
    """

    time: float
    link: str
    kind: EventKind
    connection: int | None = None
    by: Actor | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    detail: str = ""
    fault: str = ""
    fault_id: int | None = None
    direction: Literal["up", "down"] | None = None


def describe(event: LinkEvent, *, since: float = 0.0) -> str:
    """The event as one line for a failure report, its time counted from ``since``.

    >>> describe(LinkEvent(12.5, "etcd", "fin", 3, "upstream", 120, 4096), since=12.0)
    '+0.500s etcd #3 fin by upstream (up 120 B, down 4096 B)'
    >>> describe(LinkEvent(12.5, "etcd", "fault", detail="Sever()"), since=12.0)
    '+0.500s etcd fault Sever()'
    >>> describe(LinkEvent(12.5, "etcd", "rst", 3, "netfault", fault="Reset()", fault_id=1), since=12.0)
    '+0.500s etcd #3 rst by Reset() (up 0 B, down 0 B)'
    """
    words = [f"+{event.time - since:.3f}s", event.link]
    if event.connection is not None:
        words.append(f"#{event.connection}")
    words.append(event.kind)
    if event.by is not None and event.by != "netfault":
        words.append(f"by {event.by}")
    elif event.fault and event.kind in ("fin", "rst", "closed"):
        words.append(f"by {event.fault}")
    if event.connection is not None:
        words.append(f"(up {event.bytes_up} B, down {event.bytes_down} B)")
    if event.detail:
        words.append(event.detail)
    return printable(" ".join(words))
