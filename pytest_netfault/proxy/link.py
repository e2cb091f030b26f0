"""A link on the proxy's side: a listener, its connections, the faults in force, and the trio task that owns them.

All methods but the constructor run on the engine's thread.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

import trio

from pytest_netfault.events import Cause
from pytest_netfault.proxy.addresses import Address, UpstreamAddress
from pytest_netfault.proxy.budget import MAX_HELD
from pytest_netfault.proxy.calls import Moment
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.connections import Connections
from pytest_netfault.proxy.engine import Engine, EngineStopped, Started
from pytest_netfault.proxy.in_force import FaultsInForce
from pytest_netfault.proxy.listeners import open_port
from pytest_netfault.proxy.observation import EventLog, Waiters
from pytest_netfault.proxy.stage import Ending
from pytest_netfault.proxy.surroundings import Securing
from pytest_netfault.proxy.wire import Frames

__all__ = ["ProxyLink"]


class ProxyLink:
    """Forwards one address to another and does to the traffic what the faults in force say.

    Args:
        engine: whose thread it runs on.
        upstream: where connections go.
        listen: where they come from; of several addresses the first one must be free, and the others may be.
        name: for events and messages.
        seed: what every random choice is made from.
        max_held: how many bytes it may hold back, all connections together.
        unreachable: what a client gets if its connection cannot be forwarded. RST says it honestly, but a client may
            see it before it sees that it was connected.
        look_up_first: whether an upstream name that cannot be resolved is an error of :meth:`run`, and not only of each
            connection.
        frames: whether frames are named in any case.

    Raises:
        OSError: ``listen`` cannot be listened on.
        ValueError: the host of ``listen`` or ``upstream`` is no name that could be looked up.
    """

    def __init__(
        self,
        engine: Engine,
        upstream: UpstreamAddress,
        listen: Address | Sequence[Address],
        *,
        name: str,
        seed: int,
        max_held: int = MAX_HELD,
        look_up_first: bool = True,
        unreachable: Ending = Ending.RST,
        frames: Frames = False,
        secure: Securing | None = None,
    ) -> None:
        self.engine = engine
        self.name = name
        self.upstream = upstream
        self.closed = False  # its end has been asked for
        self.failure: BaseException | None = None  # of its end
        self._scope = trio.CancelScope()
        self._running = False
        self._look_up_first = look_up_first
        self._unreachable = unreachable
        self._retiring = False
        self._released = False
        self._on_end: list[Moment] = []
        self.log = EventLog(name, engine.now, engine.debug_log)
        self.waiters = Waiters()
        self.connections = Connections(
            engine,
            upstream,
            max_held=max_held,
            frames=frames,
            log=self.log,
            waiters=self.waiters,
            secure=secure,
        )
        addresses = listen if isinstance(listen, Sequence) else (listen,)
        self.listener = open_port(engine, addresses, self._on_accept, self._on_trouble)
        self.faults = FaultsInForce(self.connections, self.listener, upstream, seed=seed, log=self.log)

    async def run(self, status: Started) -> None:
        """The life of the link, a trio task: from the first look-up of the upstream's name until :meth:`close`.

        Whatever ends it, a cancellation or a crash of the proxy, nothing of the link is left afterwards: the look-ups
        of its nursery are cancelled, its connections and its port are closed.

        Raises:
            OSError: the upstream's name cannot be resolved.
            EngineStopped: it was closed before it began to serve.
        """
        self._running, serving = True, False
        try:
            with self._scope:
                if not self.closed:
                    if self._look_up_first:
                        await self.connections.upstream.look_up()
                    async with trio.open_nursery() as self.connections.nursery:
                        self.engine.step(self.listener.start)
                        serving = True
                        status.started()
                        await trio.sleep_forever()
        finally:
            self.connections.nursery = None
            self._release()
        if not serving:
            raise EngineStopped("the link was closed before it began to serve")

    def _on_trouble(self, sentence: str) -> None:
        self.log.write("trouble", None, detail=sentence)

    def _on_accept(self, sock: socket.socket, name: str) -> None:
        faults = self.faults
        connection = self.connections.add(sock, name, faults.standing, self._on_closed)
        connection.unreachable = self._unreachable
        faults.welcome(connection)
        if self.waiters:
            self.waiters.look()

    def _on_closed(self, connection: Connection) -> None:
        self.faults.connection_closed(connection)
        if self._retiring and not self.connections.live:
            self.close()

    def retire(self, cause: Cause) -> None:
        """Give the port away now, end in order what is open, and end the link once the last peer has closed its side.

        That takes a second at most, for which nobody waits. Idempotent.
        """
        if self._retiring or self.closed:
            return
        self.listener.accept_all()
        self.listener.close()
        self._retiring = True
        for connection in list(self.connections):
            if connection.alive:
                connection.sever(cause)
            elif connection.state == "forgotten":
                connection.close()
        if not self.connections.live:
            self.close()

    @property
    def released(self) -> bool:
        """Whether nothing is left of it."""
        return self._released

    def close(self, ended: Moment | None = None) -> None:
        """End the link's life. Idempotent.

        Args:
            ended: announced once nothing is left of it, neither connections nor the port.
        """
        self.closed = True
        if ended is not None:
            self._on_end.append(ended)
        if self._running and not self._released:
            self._scope.cancel()
            self.engine.hurry()
        else:
            self._release()

    def _release(self) -> None:
        """Let go of everything: faults, the port, connections, and who waits."""
        self.closed = True
        if not self._released:
            self._released = True
            try:
                self.engine.step(self._release_all)
            except BaseException as error:  # noqa: BLE001, RUF100 - other links live on; raised where this is closed
                self.failure = error
        self._announce_end()

    def _announce_end(self) -> None:
        ends, self._on_end = self._on_end, []
        for moment in ends:
            moment.announce()

    def _release_all(self) -> None:
        with contextlib.ExitStack() as releasing:  # whatever fails, the rest is released
            releasing.callback(self.waiters.cancel)
            releasing.callback(self.connections.close)
            releasing.callback(self.listener.close)
            releasing.callback(self.faults.close)

    def raise_failure(self) -> None:
        """Raise what went wrong at its end, if anything did; once."""
        failure, self.failure = self.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback refers to this frame

    def forget(self) -> None:
        """In a forked child: close the copies of what the parent uses, and let nobody wait for the parent's thread."""
        self.closed = self._released = True
        self.listener.forget()
        self.connections.forget()
        self.waiters.cancel()
        self._announce_end()
