"""What a connection is given by its link: who records its events, who waits for its bytes, which faults are in force,
and what makes it speak TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pytest_netfault.events import Cause, EventKind
from pytest_netfault.faults import Direction
from pytest_netfault.proxy.end import End, Side
from pytest_netfault.proxy.engine import Engine

if TYPE_CHECKING:
    from pytest_netfault.proxy.connection import Connection

__all__ = ["Handshaking", "Meter", "Recorder", "Securing", "Standing"]


class Recorder(Protocol):
    """Records an event of a link; :meth:`.ProxyLink.log` is one."""

    def __call__(
        self,
        kind: EventKind,
        connection: Connection | None,
        cause: Cause,
        detail: str = "",
        direction: Direction | None = None,
        *,
        address: str = "",
    ) -> None: ...


class Meter:
    """Who waits for bytes to pass. Shared by the connections of a link, so that unwatched bytes cost nothing."""

    __slots__ = ("look", "watched")

    def __init__(self, look: Callable[[], None]) -> None:
        self.look = look
        self.watched = False


class Standing:
    """The faults in force on a link, for connections on which nothing moves.

    A connection at rest gets the stages of a new fault when something next happens on it. Nothing passes until
    then, so it is the same as at once, and a fault costs a thousand idle connections nothing.
    """

    __slots__ = ("number", "place")

    def __init__(self, place: Callable[[Connection], None]) -> None:
        self.number = 0  # of the newest fault that some connection may not have yet
        self.place = place


class Handshaking(Protocol):
    """The way of a connection from TCP to what is spoken above it."""

    def go_on(self) -> None:
        """Go as far as there is something to go on with."""


class Securing(Protocol):
    """What makes the connections of a link speak TLS."""

    def end(self, engine: Engine, sock: socket.socket, side: Side) -> End:
        """An end of a connection, around its socket."""

    def handshake(self, connection: Connection) -> Handshaking:
        """What comes once both sockets are connected, and ends with :meth:`Connection.opened`."""
