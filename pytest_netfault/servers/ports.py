"""Ports that stay reserved while nobody listens on them.

A server that gets its port as a number can lose it twice: between the moment the number was found free and the moment
the server binds it, and while the server is down between a kill and a restart. Here a socket that is bound but never
listens reserves the number for as long as it is open: the kernel gives it to nobody who asks for any free port, neither
to listen nor to connect from, while a server that asks for this number with SO_REUSEADDR (every Go program does) gets
it. Nobody can connect to a bound socket that does not listen, so connections to a dead server are still refused.
"""

from __future__ import annotations

import socket

__all__ = ["ReservedPort"]


class ReservedPort:
    """One TCP port of this host, ours until `close`; a context manager.

    >>> with ReservedPort() as port:
    ...     0 < port.number < 65536
    True
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, 0))
            self.number: int = self._socket.getsockname()[1]
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Give the port back. Idempotent."""
        self._socket.close()

    def __enter__(self) -> ReservedPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"port-{self.number}"
