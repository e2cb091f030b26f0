"""What happened on a link, in order, on one clock.

A :class:`LinkEvent` is written by the proxy at the moment something happens: a connection is accepted, a
fault comes into force, a FIN arrives. Logs, failure reports and assertions all read these same records.

Rules of this file: only the standard library; frozen data; ``time`` is ``time.monotonic()`` of the test
process in seconds; a position counts the bytes of that direction delivered to the receiver so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CONNECTION_STATES", "ConnectionState", "EventKind", "LinkEvent", "LinkWarning", "describe"]

EventKind = Literal[
    "accepted",  # a client's connection was taken
    "connected",  # ... and the upstream answered
    "upstream_failed",  # ... or did not; the client gets RST
    "fin",  # this side ended its direction in order
    "rst",  # this side reset the connection
    "closed",  # nothing of the connection is left
    "fault",  # a fault came into force
    "hit",  # a fault first met traffic (bytes, an ending or a connection)
    "heal",  # a fault is gone
    "trouble",  # the machine could not do something, such as accept a connection for want of descriptors
]

ConnectionState = Literal["connecting", "open", "half-closed", "closing", "closed"]
CONNECTION_STATES: tuple[ConnectionState, ...] = ("connecting", "open", "half-closed", "closing", "closed")


class LinkWarning(UserWarning):
    """Something about a link that a test author should look at, such as a fault that met no traffic."""


@dataclass(frozen=True)
class LinkEvent:
    """One thing that happened on a link.

    Attributes:
        time: seconds, ``time.monotonic()``.
        link: the link's name.
        kind: what happened, see :data:`EventKind`.
        connection: the connection's number on its link, from 1, or None where the event concerns the link.
        by: who did it: ``"client"``, ``"upstream"`` or ``"netfault"``.
        bytes_up: bytes delivered from client to upstream on that connection when it happened.
        bytes_down: the same from upstream to client.
        detail: the fault's expression, an address, or the error, in words.
    """

    time: float
    link: str
    kind: EventKind
    connection: int | None = None
    by: Literal["client", "upstream", "netfault"] | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    detail: str = ""


def describe(event: LinkEvent, *, since: float = 0.0) -> str:
    """The event as one line for a failure report, its time counted from ``since``.

    >>> describe(LinkEvent(12.5, "etcd", "fin", 3, "upstream", 120, 4096), since=12.0)
    '+0.500s etcd #3 fin by upstream (up 120 B, down 4096 B)'
    >>> describe(LinkEvent(12.5, "etcd", "fault", detail="Sever()"), since=12.0)
    '+0.500s etcd fault Sever()'
    """
    words = [f"+{event.time - since:.3f}s", event.link]
    if event.connection is not None:
        words.append(f"#{event.connection}")
    words.append(event.kind)
    if event.by is not None and event.by != "netfault":
        words.append(f"by {event.by}")
    if event.connection is not None:
        words.append(f"(up {event.bytes_up} B, down {event.bytes_down} B)")
    if event.detail:
        words.append(event.detail)
    return " ".join(words)
