"""Where a link's connections go: a name is resolved once, and each connection tries its addresses in order.

Rules of this file: nothing waits for an answer; an attempt is a socket that is connecting.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from pytest_netfault.faults import shown
from pytest_netfault.proxy.addresses import Address, UnixAddress

__all__ = ["Upstream"]


class Upstream:
    """The addresses behind an upstream's name.

    Raises:
        OSError: the name cannot be resolved.
        ValueError: it is no name that could be looked up.
    """

    def __init__(self, address: Address) -> None:
        self._candidates = _resolve(address)

    def connector(self) -> Callable[[], socket.socket | OSError | None]:
        """Makes the attempts of one connection.

        Each call tries the next address. It returns the connecting socket, or the error if the attempt failed at
        once (``BlockingIOError``: try the same again soon), or None when there is nothing more to try.
        """
        candidates = deque(self._candidates)

        def connect() -> socket.socket | OSError | None:
            if not candidates:
                return None
            family, name = candidates.popleft()
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                return error
            sock.setblocking(False)
            try:
                sock.connect(name)
            except BlockingIOError as error:
                if family == socket.AF_UNIX:  # its queue of connections is full
                    candidates.appendleft((family, name))
                    sock.close()
                    return error
            except OSError as error:
                sock.close()
                return error
            return sock

        return connect


def _resolve(address: Address) -> list[tuple[int, Any]]:
    """Every address behind the name, in the order in which the system would try them."""
    if isinstance(address, UnixAddress):
        return [(socket.AF_UNIX, address.path)]
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, f"cannot resolve upstream {address}: {error.strerror}") from error
    except UnicodeError as error:
        raise ValueError(f"upstream: {shown(address.host)} is no host name: {error}") from error
    return [(family, name) for family, _, _, _, name in found]
