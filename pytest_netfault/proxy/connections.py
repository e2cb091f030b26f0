"""The connections of a link: who is connected now, how each one finds its upstream, what the ones before carried."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import trio

from pytest_netfault.events import Cause
from pytest_netfault.proxy.addresses import UpstreamAddress
from pytest_netfault.proxy.budget import Budget
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.engine import Engine, Timer
from pytest_netfault.proxy.observation import ConnectionInfo, EventLog, Waiters, info_of
from pytest_netfault.proxy.surroundings import Securing, Standing
from pytest_netfault.proxy.upstream import Candidates, Upstream
from pytest_netfault.proxy.wire import ConnectionFrames, Frames, Wire

__all__ = ["FORGOTTEN_KEPT", "Connections"]

# How soon those that wait for room look again once there may be some. A thousand of them look in about 2 ms.
_ROOM_SECONDS = 0.002
# Forgotten flows whose client has ended its side that are kept open, as their upstream would see them on a real
# network: for ever. Each costs one or two descriptors, and many a system allows a process no more than 1,024.
FORGOTTEN_KEPT = 256

# Connections that have ended whose frames are remembered; at most 16 KiB are kept of each.
_WIRES_KEPT = 200
_CLIENT = Cause("client")


class Connections:
    """The live connections of a link, by number.

    Args:
        engine: whose thread they run on.
        upstream: where they go.
        max_held: how many bytes they may hold back, all together.
        frames: whether frames are named in any case.
        log: where their events are written.
        waiters: who waits for what they carry.
        secure: makes them speak TLS, if they do.
    """

    def __init__(
        self,
        engine: Engine,
        upstream: UpstreamAddress,
        *,
        max_held: int,
        frames: Frames,
        log: EventLog,
        waiters: Waiters,
        secure: Securing | None = None,
    ) -> None:
        self.engine = engine
        self.live: dict[int, Connection] = {}
        self.accepted = 0  # so far: the number of the last one
        self.refused = 0  # of them, those that were refused once it was seen which they are
        self.upstream = Upstream(upstream)
        self.nursery: trio.Nursery | None = None  # of the link's life, where names are looked up
        self._upstream_name = str(upstream)
        self._log = log
        self._secure = secure
        self._waiters = waiters
        self._frames: Frames = frames
        self._past_wires: dict[
            int, Wire
        ] = {}  # of connections that have ended, if frames are named in any case
        self._last_used = -math.inf  # when a connection last came or went
        self._past = {"up": 0, "down": 0}  # bytes that closed connections have delivered
        self._past_taken = {"up": 0, "down": 0}  # ... and that their sources have sent
        self._left_behind: dict[int, Connection] = {}  # forgotten, and ended by their clients; oldest first
        self._budget = Budget(max_held, self._serve_waiting_soon)
        self._serving: Timer | None = None
        self._looking_up: dict[int, trio.CancelScope] = {}  # by the connection's number

    def __len__(self) -> int:
        return len(self.live)

    def __iter__(self) -> Iterator[Connection]:
        """The live ones, oldest first."""
        return iter(self.live.values())

    def infos(self) -> list[ConnectionInfo]:
        """What users see of the live ones, oldest first."""
        return [info_of(connection) for connection in self]

    def frames(self) -> dict[int, ConnectionFrames]:
        """What connections have delivered, in frames: the live ones, and the first of those that have ended."""
        wires = self._past_wires | {one.number: one.wire for one in self}
        return {number: wire.frames() for number, wire in sorted(wires.items())}

    def alive(self) -> list[Connection]:
        """Those that faults can act on."""
        return [connection for connection in self if connection.alive]

    def bytes_passed(self, direction: Literal["up", "down"]) -> int:
        """Bytes delivered in this direction by all connections so far."""
        which = 0 if direction == "up" else 1
        return self._past[direction] + sum(connection.pipes[which].count for connection in self)

    def bytes_taken(self, direction: Literal["up", "down"]) -> int:
        """Bytes read from the senders of this direction so far, delivered or not."""
        which = 0 if direction == "up" else 1
        return self._past_taken[direction] + sum(connection.pipes[which].taken for connection in self)

    def bytes_in(self, directions: Iterable[Literal["up", "down"]]) -> int:
        """The same, of several directions together."""
        return sum(self.bytes_passed(direction) for direction in directions)

    def used_since(self, time: float) -> bool:
        """Whether a connection of a client was there at this time or later."""
        return bool(self.live) or self._last_used >= time

    def add(
        self, client: socket.socket, name: str, standing: Standing, on_closed: Callable[[Connection], None]
    ) -> Connection:
        """A client has connected. See :meth:`start` for what comes next.

        Args:
            client: the accepted socket.
            name: the client's address.
            standing: see :class:`.Standing`.
            on_closed: called at its end.
        """

        def closed(connection: Connection) -> None:
            self._remove(connection)
            on_closed(connection)
            if self._waiters:
                self._waiters.look()

        self.accepted += 1
        self._last_used = self.engine.now()
        connection = self.live[self.accepted] = Connection(
            self.engine,
            self.accepted,
            client,
            (name, self._upstream_name),
            log=self._log.write,
            on_closed=closed,
            meter=self._waiters.meter,
            budget=self._budget,
            standing=standing,
            frames=self._frames,
            secure=self._secure,
        )
        self._log.write("accepted", connection, _CLIENT, address=name)
        return connection

    def start(self, connection: Connection) -> None:
        """Let a connection reach for the upstream; first look up where that is now, if it has a name."""
        if self.upstream.known is not None:
            connection.start(self.upstream.connector(self.upstream.known))
        elif self.nursery is not None and connection.alive:
            connection.await_upstream()
            self.nursery.start_soon(self._look_up, connection)
            self.engine.hurry()

    async def _look_up(self, connection: Connection) -> None:
        if not connection.alive:
            return
        found: Candidates | OSError
        with trio.CancelScope() as scope:
            self._looking_up[connection.number] = scope
            try:
                found = await self.upstream.look_up()
            except OSError as error:
                found = error
            finally:
                self._looking_up.pop(connection.number, None)
            self.engine.step(lambda: connection.start(self.upstream.connector(found)))

    def leave_behind(self, connection: Connection) -> None:
        """The client of a forgotten flow has ended; its upstream keeps the flow, unless there are too many."""
        self._left_behind[connection.number] = connection
        while len(self._left_behind) > FORGOTTEN_KEPT:
            self._left_behind.pop(next(iter(self._left_behind))).close()

    def close(self) -> None:
        """End all of them."""
        for connection in list(self):
            connection.close()
        if self._serving is not None:
            self._serving.cancel()

    def forget(self) -> None:
        """In a forked child: close the copies of their sockets."""
        for connection in self:
            connection.forget()

    def _remove(self, connection: Connection) -> None:
        self.live.pop(connection.number, None)
        self._left_behind.pop(connection.number, None)
        self._last_used = self.engine.now()
        if (looking_up := self._looking_up.pop(connection.number, None)) is not None:
            looking_up.cancel()
        if self._frames and len(self._past_wires) < _WIRES_KEPT:
            self._past_wires[connection.number] = connection.wire
        for pipe in connection.pipes:
            self._past[pipe.direction] += pipe.count
            self._past_taken[pipe.direction] += pipe.taken

    def _serve_waiting_soon(self) -> None:
        """Something was passed on, and somebody waits for room: soon, so that it is done for several at once."""
        if self._serving is None:
            self._serving = self.engine.call_at(self.engine.now() + _ROOM_SECONDS, self._serve_waiting)

    def _serve_waiting(self) -> None:
        self._serving = None
        self._budget.serve()
