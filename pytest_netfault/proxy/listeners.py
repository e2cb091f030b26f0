"""Several listening sockets as the one port of a link: a name, or "every address", may mean IPv4 and IPv6."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pytest_netfault.proxy.addresses import Address, TcpAddress
from pytest_netfault.proxy.engine import Engine
from pytest_netfault.proxy.listener import Listener, Mode

__all__ = ["Listeners", "Port", "open_port"]

# How often another free port is tried where the kernel's choice for the first address is taken on the second.
_TRIES = 8


class Listeners:
    """The listeners of a link, which change their mode together; the first one's address is the link's."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._all = tuple(listeners)

    @property
    def address(self) -> str:
        """Where the first one listens."""
        return self._all[0].address

    @property
    def mode(self) -> Mode:
        """What all of them do."""
        return self._all[0].mode

    @property
    def drops(self) -> int:
        """Connection attempts that a filter has dropped so far."""
        return sum(one.drops for one in self._all)

    @property
    def keeps_waiting(self) -> bool:
        """See :attr:`.Listener.keeps_waiting`."""
        return any(one.keeps_waiting for one in self._all)

    @property
    def was_lossy(self) -> bool:
        """Whether a socket that was accepted may have inherited a filter."""
        return any(one.was_lossy for one in self._all)

    def start(self) -> None:
        """Begin to accept."""
        for one in self._all:
            one.start()

    def accept_all(self) -> None:
        """Accept every connection that is waiting now."""
        for one in self._all:
            one.accept_all()

    def set_mode(self, mode: Mode, *, loss: float = 0.0) -> None:
        """See :meth:`.Listener.set_mode`."""
        for one in self._all:
            one.set_mode(mode, loss=loss)

    def close(self) -> None:
        """Give up the port, on all addresses."""
        with contextlib.ExitStack() as closing:
            for one in self._all:
                closing.callback(one.close)

    def forget(self) -> None:
        """In a forked child: close the copies."""
        for one in self._all:
            one.forget()


#: What a link listens with.
Port: TypeAlias = "Listener | Listeners"


def open_port(
    engine: Engine,
    addresses: Sequence[Address],
    on_accept: Callable[[socket.socket, str], None],
    on_trouble: Callable[[str], None],
) -> Port:
    """Listen on the first of these addresses, and on the others with the same port where that is possible.

    Raises:
        OSError: the first one cannot be listened on.
        ValueError: its host is no name that could be looked up.
    """
    first, *others = addresses
    listener = Listener(engine, first, on_accept, on_trouble)
    if not others:
        return listener
    any_port = isinstance(first, TcpAddress) and first.port == 0
    for _ in range(_TRIES if any_port else 1):
        found = [listener]
        port = int(listener.address.rpartition(":")[2])
        for other in others:
            assert isinstance(other, TcpAddress), "only TCP addresses come in several"
            with contextlib.suppress(OSError):
                found.append(Listener(engine, TcpAddress(other.host, port), on_accept, on_trouble))
        if len(found) > len(others) or not any_port:
            return Listeners(found)
        for one in found:
            one.close()
        listener = Listener(engine, first, on_accept, on_trouble)
    return listener
