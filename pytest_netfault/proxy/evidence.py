"""Whether a fault met traffic, and whether it may have refused connections without a trace.

A test whose fault met nothing has tested nothing, so every source is asked: what the stages saw, what the kernel has
dropped, what waits unread behind a silence, and what the kernel counts of refused attempts.
"""

from __future__ import annotations

import select
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pytest_netfault.events import Cause
from pytest_netfault.faults import Fault, Limits, directions_of, limits_of
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.connections import Connections
from pytest_netfault.proxy.engine import Timer
from pytest_netfault.proxy.listeners import Port
from pytest_netfault.proxy.pipe import Pipe
from pytest_netfault.proxy.stage import Stage

__all__ = ["Evidence", "InForce"]

ListenerMode = Literal["serve", "refuse", "hang"]
NO_LIMITS = Limits()


@dataclass(eq=False)
class InForce:
    """A fault on a link, from ``apply`` to ``heal``."""

    fault: Fault
    # Of every random choice: the seed, and how many faults of its kind were in force before it.
    root: str = ""
    ordinal: int = 0  # that number
    cause: Cause = field(default_factory=Cause)  # what its events say of it
    stages: dict[int, list[tuple[Pipe, Stage]]] = field(default_factory=dict)  # by the connection's number
    healed: bool = False
    met: bool = False
    drops_before: int = 0  # segments that filters had dropped at the listener
    bytes_before: int = 0  # that had passed in the fault's directions
    refused_before: int | None = None  # see kernel.refused_attempts
    unseen: bool = False  # once it is healed: whether it may have refused somebody whom nobody saw
    seed: int = 0  # of its link
    timer: Timer | None = None  # which heals it, if it has a time
    refused: int = 0  # attempts that the proxy has refused for it
    source: str = ""  # the line that has applied it
    _limits_of: Fault | None = None  # whose limits are kept here, as they are asked for often
    _limits: Limits = NO_LIMITS

    @property
    def limits(self) -> Limits:
        """The limits of the fault that it is now."""
        if self._limits_of is not self.fault:
            self._limits_of, self._limits = self.fault, limits_of(self.fault)
        return self._limits

    @property
    def listener(self) -> ListenerMode:
        """What it wants of the port: nothing where the proxy must look at each connection that comes."""
        return "serve" if self.limits.some else self.fault.traits.listener

    def holds_for(self, connection: int) -> bool:
        """Whether it holds for the connection with this number."""
        return self.limits.holds_for(connection, self.seed)

    @property
    def used_up(self) -> bool:
        """Whether it has refused as many attempts as it may."""
        return self.limits.attempts is not None and self.refused >= self.limits.attempts


class Evidence:
    """What a link knows of the traffic that its faults have met."""

    def __init__(self, connections: Connections, listener: Port) -> None:
        self._connections = connections
        self._listener = listener

    def begin(self, active: InForce) -> None:
        """A fault comes into force: note where the counters stand."""
        fault = active.fault
        active.drops_before = self._listener.drops
        if fault.packet_loss() is not None:
            active.bytes_before = self._passed(active)
        if active.listener == "refuse" and not self._connections:
            active.refused_before = self._refused()

    def end(self, active: InForce) -> None:
        """A fault goes: keep what is known of it."""
        active.met = self.met(active)
        active.unseen = self.may_have_refused(active)
        active.healed = True

    def met(self, active: InForce) -> bool:
        """Whether the fault has met traffic: a byte, an ending, an open connection or an attempt to connect."""
        if active.met or active.healed:
            return active.met
        fault = active.fault
        lossy, ways = fault.packet_loss() is not None, directions_of(fault)
        silent = fault.traits.connections == "silence"
        at_the_port = (lossy or fault.traits.listener == "hang") and not active.limits.some
        if at_the_port and (self._listener.drops > active.drops_before or self._listener.keeps_waiting):
            return True
        if lossy and self._dropped(active, ways):
            return True
        if lossy and not silent and self._passed(active) > active.bytes_before:
            return True  # each of their segments might have been dropped
        if any(stage.met for of_connection in active.stages.values() for _, stage in of_connection):
            return True
        return silent and self._silences(active)

    def may_have_refused(self, active: InForce) -> bool:
        """Whether the fault may have refused a client that nobody saw: the kernel does so without a trace."""
        if active.healed or active.listener != "refuse":
            return active.unseen
        if active.refused_before is None or self._listener.drops > active.drops_before:
            return True  # nobody counts; or a black hole in force as well has dropped an attempt before it was refused
        return self._refused() != active.refused_before

    def ended(self, active: InForce, connection: Connection) -> None:
        """A connection has ended: what it had carried is not counted any more."""
        if (
            active.limits.some
            and active.fault.packet_loss() is not None
            and active.holds_for(connection.number)
        ):
            active.bytes_before -= sum(
                pipe.count for pipe in connection.pipes if pipe.direction in directions_of(active.fault)
            )

    def _passed(self, active: InForce) -> int:
        """Bytes that have passed in the fault's directions, where it holds."""
        ways = directions_of(active.fault)
        if not active.limits.some:
            return self._connections.bytes_in(ways)
        return sum(
            pipe.count
            for connection in self._connections
            if active.holds_for(connection.number)
            for pipe in connection.pipes
            if pipe.direction in ways
        )

    def _silences(self, active: InForce) -> bool:
        """Whether something waits in the kernel that the silence keeps from being read."""
        waiting, fault = select.poll(), active.fault
        for connection in self._connections.alive():
            if not active.holds_for(connection.number):
                continue
            for pipe, source in zip(connection.pipes, (connection.client, connection.upstream), strict=True):
                # There is no socket yet to an upstream whose name is being looked up, or whose queue is full.
                if source is not None and pipe.direction in directions_of(fault) and pipe.ended is None:
                    if source.parked:
                        return True
                    if source.fd >= 0:
                        waiting.register(source.fd, select.POLLIN)
        return any(events & select.POLLIN for _, events in waiting.poll(0))

    def _refused(self) -> int | None:
        address = self._listener.address
        if address.startswith("unix:"):
            return None
        return kernel.refused_attempts(loopback=address.startswith(("127.", "[::1]")))

    def _dropped(self, active: InForce, directions: Iterable[Literal["up", "down"]]) -> bool:
        """Whether the kernel has dropped a segment of an open connection in one of these directions."""
        return any(
            connection.drops(direction)
            for connection in self._connections
            if active.holds_for(connection.number)
            for direction in directions
        )
