"""What becomes of a connection that comes while a fault holds for some connections only.

The kernel can refuse all attempts to connect, or let all of them hang. Where a fault holds for some, by their number or
for the next few, the proxy accepts each one to see which it is:

* one that is refused gets RST at once, so that a client whose ``connect()`` has returned sees it at its first read;
* one that hangs is not served: the upstream does not hear of it, and what the client sends waits. Once nothing keeps it
  waiting any more, it is served like one that has just come.

Silence prevails over refusal, as it does at the port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.connections import Connections
from pytest_netfault.proxy.evidence import InForce
from pytest_netfault.proxy.stacking import has_stages

__all__ = ["Admission"]


class Admission:
    """Refuses, keeps waiting or serves each connection that comes.

    Args:
        connections: those of the link.
        in_force: its faults, as they are at any time.
        on_used_up: called with a fault that has refused as many attempts as it may.
    """

    def __init__(
        self, connections: Connections, in_force: Iterable[InForce], on_used_up: Callable[[InForce], None]
    ) -> None:
        self._connections = connections
        self._in_force = in_force
        self._on_used_up = on_used_up
        self._waiting: dict[int, Connection] = {}

    def refuses(self, connection: Connection) -> bool:
        """Refuse a connection if a fault wants that and none lets it hang; return whether it was."""
        refusing = self._holding(connection, "refuse")
        if not refusing or self._holding(connection, "hang"):
            return False
        self._connections.refused += 1
        for active in refusing:
            active.met = True
            active.refused += 1
            if active.used_up:  # healed before the client can see that it was refused
                self._on_used_up(active)
        connection.close_with_reset(refusing[0].cause)
        return True

    def admit(self, connection: Connection) -> None:
        """Serve a connection that is not refused, or keep it waiting until nothing lets it hang."""
        hanging = self._holding(connection, "hang")
        if not hanging:
            self._connections.start(connection)
            return
        for active in hanging:
            if not active.met and not has_stages(active.fault):  # otherwise its stages say what it meets
                connection.log("hit", active.cause, direction="both")
            active.met = True
        if connection.alive:
            connection.await_upstream()
            self._waiting[connection.number] = connection

    def admit_waiting(self) -> None:
        """A fault is over: serve, or refuse, those whom nothing lets hang any more."""
        for connection in list(self._waiting.values()):
            # The end of a fault that was used up by one of them may have served the others already.
            if connection.number in self._waiting and not self._holding(connection, "hang"):
                self._waiting.pop(connection.number, None)
                if not self.refuses(connection):
                    self._connections.start(connection)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self._waiting.pop(connection.number, None)

    def _holding(self, connection: Connection, listener: str) -> list[InForce]:
        """The faults that want this of the connection, the oldest first."""
        return [
            active
            for active in self._in_force
            if active.limits.some
            and active.fault.traits.listener == listener
            and active.holds_for(connection.number)
        ]
