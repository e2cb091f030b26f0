"""What the faults in force ask of the kernel together: the mode of the listener, and the share of segments to drop."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Literal

from pytest_netfault.common import system
from pytest_netfault.faults import Fault, UnsupportedFault, directions_of
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.addresses import UnixAddress, UpstreamAddress
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.connections import Connections
from pytest_netfault.proxy.evidence import InForce
from pytest_netfault.proxy.listeners import Port

__all__ = ["KernelEffects", "check_supported"]

_WITHOUT_FILTERS = (
    "this system does not have; run it on Linux, or in a Linux container"
    if system.LINUX or sys.platform != "linux"
    else "portable mode does not use; run it on Linux without NETFAULT_PORTABLE"
)


class KernelEffects:
    """Of the faults of one link.

    Args:
        connections: those of the link.
        listener: its port.
    """

    def __init__(self, connections: Connections, listener: Port) -> None:
        self._connections = connections
        self._listener = listener
        self._modes: Counter[str] = Counter()  # what those in force want of the listener
        self._lossy: dict[InForce, float] = {}  # the share of segments that the kernel drops for each
        self._losses = (0.0, 0.0)  # as the connections have them
        self._uneven = False  # whether the connections may have different ones

    def add(self, active: InForce) -> None:
        """A fault is in force. :meth:`set_mode` and :meth:`set_losses` make it felt."""
        self._modes[active.listener] += 1
        loss = active.fault.packet_loss()
        if loss is not None:
            self._lossy[active] = loss

    def remove(self, active: InForce) -> None:
        """It is no longer in force."""
        self._modes[active.listener] -= 1
        self._lossy.pop(active, None)

    def clear(self) -> None:
        """The link ends: no segment is to be dropped any more."""
        self._lossy.clear()

    def set_loss(self, connection: Connection) -> None:
        """Let the kernel drop the segments of a new connection as the faults say."""
        number = connection.number
        connection.set_loss(up=self._loss("up", number), down=self._loss("down", number))

    def set_mode(self) -> None:
        """Let the listener serve, refuse or hang, as the faults say together."""
        if self._modes["hang"]:
            self._listener.set_mode("hang")
        elif self._modes["refuse"]:
            self._listener.set_mode("refuse")
        else:
            self._listener.set_mode("serve", loss=self._loss("up"))

    def _loss(self, direction: Literal["up", "down"], connection: int | None = None) -> float:
        """The share of segments that the kernel should drop on their way in this direction.

        Args:
            direction: their way.
            connection: the number of theirs; None for those of a connection that has no number yet.
        """
        kept = 1.0
        for active, loss in self._lossy.items():
            holds = not active.limits.some if connection is None else active.holds_for(connection)
            if holds and direction in directions_of(active.fault):
                kept *= 1 - loss
        return 1.0 - kept

    def set_losses(self, *, anew: bool = False) -> None:
        """Bring every connection up to date, if anything has changed; ``anew``: in any case."""
        losses = (self._loss("up"), self._loss("down"))
        uneven, self._uneven = self._uneven, any(active.limits.some for active in self._lossy)
        if anew or uneven or self._uneven or losses != self._losses:
            self._losses = losses
            for connection in self._connections:
                self.set_loss(connection)


def check_supported(fault: Fault, upstream: UpstreamAddress, listen: str) -> None:
    """Refuse a fault that this machine cannot do between these addresses.

    Raises:
        UnsupportedFault: it says why, and what would help.
    """
    if not fault.needs_filters():
        return
    if isinstance(upstream, UnixAddress) or listen.startswith("unix:"):
        raise UnsupportedFault(
            f"{fault!r} drops TCP segments, and a Unix socket has none; forward to a TCP address"
        )
    if not kernel.has_filters():
        raise UnsupportedFault(
            f"{fault!r} needs socket filters (SO_ATTACH_FILTER), which {_WITHOUT_FILTERS}"
            f"{', or leave out packets=True' if getattr(fault, 'packets', False) else ''}"
        )
