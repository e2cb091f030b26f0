"""How a connection reaches its upstream: one address after another, until a socket is connected.

Runs on the engine's thread. What comes after it, a TLS handshake or the bytes themselves, is the connection's.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_netfault.proxy.end import End

if TYPE_CHECKING:
    from pytest_netfault.proxy.connection import Connection

__all__ = ["Dial", "no_end"]

# How soon to try a Unix upstream again whose queue of connections is full. The kernel has no event for it.
_QUEUE_POLL_SECONDS = 0.02
# What stands for the upstream's socket once it is known that there will be none.
_NO_SOCKET = socket.socket(socket.AF_UNIX)
_NO_SOCKET.close()


def no_end(connection: Connection) -> End:
    """The upstream's end of a connection that has none."""
    return End(connection.engine, _NO_SOCKET, "upstream")


class Dial:
    """The attempts of one connection to reach its upstream.

    Args:
        connection: gets the end that is connecting (``reach``), and in the end either ``reached`` or
            ``upstream_failed``.
        connect: makes the next attempt and returns the connecting socket, the error if it failed at once
            (``BlockingIOError``: try the same again soon), or None if there is nothing more to try.
    """

    __slots__ = ("_connect", "_connection")

    def __init__(self, connection: Connection, connect: Callable[[], socket.socket | OSError | None]) -> None:
        self._connection = connection
        self._connect = connect

    def attempt(self, failed: OSError | None = None) -> None:
        """Try the next address; ``failed`` says what became of the one before."""
        connection = self._connection
        while connection.state == "connecting":
            attempt = self._connect()
            if isinstance(attempt, socket.socket):
                connection.reach(attempt)
                return
            if attempt is None:
                why = (failed and failed.strerror) or failed or "no address to connect to"
                connection.upstream_failed(str(why))
            elif isinstance(attempt, BlockingIOError):
                connection.call_at(connection.engine.now() + _QUEUE_POLL_SECONDS, self.attempt)
                return
            else:
                failed = attempt

    def ready(self, end: End) -> None:
        """The attempt under way has ended, one way or the other."""
        sock = end.sock
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error in (errno.ECONNRESET, errno.EPIPE):
            # It had answered, and has reset since. What it sent before is still there to be read.
            end.reset = True
            error = 0
        elif not error:
            try:
                if sock.getpeername() == sock.getsockname() and sock.family != socket.AF_UNIX:
                    # Nobody listened, and the kernel gave us the very port that we called: TCP connects it to itself.
                    error = errno.ECONNREFUSED
            except OSError:  # spurious readiness: still connecting
                return
        if error:
            end.close(reset=True)
            self.attempt(OSError(error, os.strerror(error)))
        else:
            self._connection.reached()
