"""Where a link's connections go: each connection looks the name up anew and tries its addresses in order.

A container that is made anew has another address under the same name, so an address is never kept for later. What is
no name, an address or a path, is known at once and costs nothing. A look-up is a trio task with a time limit: only the
connection that needs it waits.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import trio

from pytest_netfault.faults import shown
from pytest_netfault.proxy.addresses import NoAddress, UnixAddress, UpstreamAddress

__all__ = ["Candidates", "Upstream"]

# How long a look-up may take. A resolver asks its first server again after 5 s; a test has long given up by then.
LOOKUP_SECONDS = 5.0

Candidates = Sequence[tuple[int, Any]]  # the family and the address of a socket, in the order of trying


class Upstream:
    """A link's upstream: a path, an address, or a name behind which the addresses may change; or no address at all.

    Args:
        address: of the upstream; or where a link is to listen, which is looked up in the same way.
        what: which argument it is, for messages.

    Raises:
        ValueError: it is no name that could be looked up.
    """

    def __init__(self, address: UpstreamAddress, *, what: str = "upstream") -> None:
        self._address = address
        self._what = what
        #: What it always is; None for a name.
        self.known = _known(address, what)

    async def look_up(self) -> Candidates:
        """The addresses that it has now, in the order in which the system would try them.

        Raises:
            OSError: the name cannot be resolved, or not within ``LOOKUP_SECONDS``.
        """
        if self.known is not None:
            return self.known
        if isinstance(self._address, NoAddress):
            raise OSError(errno.EADDRNOTAVAIL, self._address.why)
        assert not isinstance(self._address, UnixAddress)
        host, port = self._address.host, self._address.port
        with trio.move_on_after(LOOKUP_SECONDS):
            try:
                found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                why = getattr(error, "strerror", None) or error
                raise OSError(
                    errno.EADDRNOTAVAIL, f"cannot resolve {self._what} {self._address}: {why}"
                ) from error
            return [(family, name) for family, _, _, _, name in found]
        raise OSError(
            errno.ETIMEDOUT,
            f"cannot resolve {self._what} {self._address}: no answer within {LOOKUP_SECONDS:g} s",
        )

    def connector(self, found: Candidates | OSError) -> Callable[[], socket.socket | OSError | None]:
        """Makes the attempts of one connection.

        Args:
            found: what :meth:`look_up` returned, or why there is nothing to try.

        Each call tries the next address. It returns the connecting socket, or the error if the attempt failed at
        once (``BlockingIOError``: try the same again soon), or None when there is nothing more to try.
        """
        errors = [found] if isinstance(found, OSError) else []
        candidates = deque(() if isinstance(found, OSError) else found)

        def connect() -> socket.socket | OSError | None:
            if errors:
                return errors.pop()
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


def _known(address: UpstreamAddress, what: str) -> Candidates | None:
    """The address of a path or of a literal; None for a name."""
    if isinstance(address, UnixAddress):
        return [(socket.AF_UNIX, address.path)]
    if isinstance(address, NoAddress):
        return None
    try:
        address.host.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"{what}: {shown(address.host)} is no host name: {error}") from error
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return None
    return [(family, name) for family, _, _, _, name in found]
