"""A link on the proxy's side: a listener, its connections, and the faults in force.

All methods but the constructor run on the engine's thread.
"""

from __future__ import annotations

import socket

from pytest_netfault.proxy.addresses import Address
from pytest_netfault.proxy.budget import MAX_HELD
from pytest_netfault.proxy.connections import Connections
from pytest_netfault.proxy.engine import Engine
from pytest_netfault.proxy.in_force import FaultsInForce
from pytest_netfault.proxy.listener import Listener
from pytest_netfault.proxy.observation import EventLog, Waiters

__all__ = ["ProxyLink"]


class ProxyLink:
    """Forwards one address to another and does to the traffic what the faults in force say.

    Args:
        engine: whose thread it runs on.
        upstream: where connections go.
        listen: where they come from.
        name: for events and messages.
        seed: what every random choice is made from.
        max_held: how many bytes it may hold back, all connections together.

    Raises:
        OSError: ``listen`` cannot be listened on, or the upstream's name cannot be resolved.
    """

    def __init__(
        self,
        engine: Engine,
        upstream: Address,
        listen: Address,
        *,
        name: str,
        seed: int,
        max_held: int = MAX_HELD,
    ) -> None:
        self.engine = engine
        self.name = name
        self.upstream = upstream
        self.closed = False
        self.log = EventLog(name, engine.now, engine.debug_log)
        self.waiters = Waiters()
        self.connections = Connections(
            engine, upstream, max_held=max_held, log=self.log, waiters=self.waiters
        )
        self.listener = Listener(engine, listen, self._on_accept, self._on_trouble)
        self.faults = FaultsInForce(self.connections, self.listener, upstream, seed=seed, log=self.log)

    def start(self) -> None:
        """Begin to accept."""
        self.listener.start()

    def _on_trouble(self, sentence: str) -> None:
        self.log.write("trouble", None, detail=sentence)

    def _on_accept(self, sock: socket.socket, name: str) -> None:
        faults = self.faults
        connection = self.connections.add(sock, name, faults.standing, faults.connection_closed)
        faults.welcome(connection)
        connection.start()
        faults.set_loss(connection)
        if self.waiters:
            self.waiters.look()

    def close(self) -> None:
        """End everything: faults, connections, the port."""
        if self.closed:
            return
        self.closed = True
        self.faults.close()
        self.listener.close()
        self.connections.close()
        self.waiters.cancel()

    def forget(self) -> None:
        """In a forked child: close the copies of what the parent uses."""
        self.closed = True
        self.listener.forget()
        self.connections.forget()
