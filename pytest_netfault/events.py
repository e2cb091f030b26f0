"""What happened on a link, in order, on one clock.

The proxy records a :class:`LinkEvent` at the moment something happens: a connection is accepted, a fault comes into
force, a FIN arrives. Logs, failure reports and assertions all read these records, and none of them parses text: what a
report needs is a field, and ``detail`` is for people only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from pytest_netfault.common.printable import printable
from pytest_netfault.faults import Direction, Fault, fault_from_json, fault_to_json
from pytest_netfault.framers import Spot

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
    "tls_failed",  # a handshake has failed, or TLS after it; ``by`` is the side that failed, ``detail`` says of what
    "fin",  # this side ended its direction in order; a fault ends both
    "rst",  # this side, or a fault, reset the connection
    "closed",  # nothing of the connection is left; ``by`` and ``fault`` say who ended it
    "fault",  # a fault came into force
    "hit",  # a fault first met traffic (bytes, an ending or a connection)
    "heal",  # a fault is gone
    "note",  # somebody has called ``netfault.note(text)``
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
        fault: the fault that did it, if one did.
        fault_id: its number on the link, from 1 in the order in which the faults came into force.
        source: the line that applied it, as ``file:line``.
    """

    by: Actor = "netfault"
    fault: Fault | None = None
    fault_id: int | None = None
    source: str = ""


@dataclass(frozen=True)
class LinkEvent:
    """One thing that happened on a link.

    Attributes:
        time: seconds, ``time.monotonic()`` of the test process.
        link: the link's name.
        kind: what happened, see :data:`EventKind`.
        connection: the connection's number on its link, from 1, or None where the event concerns the link.
        by: who did it: ``"client"``, ``"upstream"`` or ``"netfault"``. A FIN or RST that is carried from one side to
            the other is an event of the side that sent it, and of nobody else.
        bytes_up: bytes delivered from client to upstream on that connection when it happened.
        bytes_down: the same from upstream to client.
        detail: what no other field says, for people: the error of ``upstream_failed``, the sentence of ``trouble``, the
            text of a ``note``, and why a fault has healed itself.
        fault: the fault that the event is about, or that did it.
        fault_id: that fault's number on the link, from 1 in the order in which the faults came into force.
        direction: of a hit, where the fault met traffic; of a FIN or RST, which direction it ended.
        address: the client's when it was accepted; the upstream's when it answered or failed.
        met: of a heal, whether the fault had met traffic by then.
        source: the line that applied the fault, as ``file:line``, or that made the note; empty if it is not known.
        frames: where a fault has met or ended a connection, in the words of its protocol: one for each direction
            concerned, the one that was cut first. Empty where nobody counted the frames, or the protocol is unknown.
    """

    time: float
    link: str
    kind: EventKind
    connection: int | None = None
    by: Actor | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    detail: str = ""
    fault: Fault | None = None
    fault_id: int | None = None
    direction: Direction | None = None
    address: str = ""
    met: bool | None = None
    source: str = ""
    frames: tuple[Spot, ...] = ()

    # Every connection makes five, on the proxy's thread. The __init__ that a frozen dataclass gets by itself takes four
    # times as long, because it passes each field through object.__setattr__().
    def __init__(
        self,
        time: float,
        link: str,
        kind: EventKind,
        connection: int | None = None,
        by: Actor | None = None,
        bytes_up: int = 0,
        bytes_down: int = 0,
        detail: str = "",
        fault: Fault | None = None,
        fault_id: int | None = None,
        direction: Direction | None = None,
        address: str = "",
        met: bool | None = None,
        source: str = "",
        frames: tuple[Spot, ...] = (),
    ) -> None:
        mine = (
            self.__dict__
        )  # one by one, so that all events share the keys; update() would take twice the memory
        mine["time"] = time
        mine["link"] = link
        mine["kind"] = kind
        mine["connection"] = connection
        mine["by"] = by
        mine["bytes_up"] = bytes_up
        mine["bytes_down"] = bytes_down
        mine["detail"] = detail
        mine["fault"] = fault
        mine["fault_id"] = fault_id
        mine["direction"] = direction
        mine["address"] = address
        mine["met"] = met
        mine["source"] = source
        mine["frames"] = frames

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON object of the same names; its fault as :func:`.fault_to_json` writes it.

        >>> from pytest_netfault.faults import Sever
        >>> LinkEvent(12.5, "etcd", "fault", by="netfault", fault=Sever(), fault_id=1).to_json()["fault"]
        {'fault': 'sever'}
        """
        made = {one.name: getattr(self, one.name) for one in fields(self)}
        made["frames"] = [spot.to_json() for spot in self.frames]
        if self.fault is not None:
            made["fault"] = fault_to_json(self.fault, text_ok=True)
        return made

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LinkEvent:
        """The event that :meth:`to_json` wrote.

        A fault of your own whose class is not in this process is read as one that can be shown and not applied.

        Raises:
            ValueError: it is not one.
        """
        try:
            fault = data["fault"]
            made = {
                "fault": None if fault is None else fault_from_json(fault, missing_ok=True),
                "frames": tuple(Spot.from_json(spot) for spot in data.get("frames", ())),
            }
            return cls(**{**data, **made})
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no event of a link: {type(error).__name__}: {error}") from error


def describe(event: LinkEvent, *, since: float | None = 0.0) -> str:
    """The event as one line for a report or a log, its time counted from ``since``; None leaves the time out.

    >>> from pytest_netfault.faults import Reset, Sever
    >>> describe(LinkEvent(12.5, "etcd", "fin", 3, "upstream", 120, 4096), since=12.0)
    '+0.500s etcd #3 fin by upstream (up 120 B, down 4096 B)'
    >>> describe(LinkEvent(12.5, "etcd", "fault", fault=Sever(), fault_id=1), since=12.0)
    '+0.500s etcd fault Sever()'
    >>> describe(LinkEvent(12.5, "etcd", "note", detail="the leader moves", source="test_a.py:7"), since=12.0)
    '+0.500s etcd note (test_a.py:7) the leader moves'
    >>> describe(LinkEvent(12.5, "etcd", "rst", 3, "netfault", fault=Reset(), fault_id=1), since=12.0)
    '+0.500s etcd #3 rst by Reset() (up 0 B, down 0 B)'
    """
    words = [event.link] if since is None else [f"+{event.time - since:.3f}s", event.link]
    if event.connection is not None:
        words.append(f"#{event.connection}")
    words.append(event.kind)
    ending = event.kind in ("fin", "rst", "closed")
    if event.by is not None and event.by != "netfault":
        words.append(f"by {event.by}")
    elif event.fault is not None and ending:
        words.append(f"by {event.fault!r}")
    if event.connection is not None:
        words.append(f"(up {event.bytes_up} B, down {event.bytes_down} B)")
    if event.fault is not None and event.kind in ("fault", "hit", "heal"):
        words.append(repr(event.fault))
    if event.direction == "both" and ending:
        words.append("both ways")
    elif event.direction is not None and event.kind == "hit":
        words.append(event.direction)
    if event.source and event.kind in ("fault", "note"):
        words.append(f"({event.source})")
    words += [f"{spot.direction} {spot}" for spot in event.frames]
    more = ": ".join(filter(None, (event.address, event.detail)))
    return printable(" ".join([*words, more] if more else words))
