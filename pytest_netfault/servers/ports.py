"""Ports that stay reserved while nobody listens on them.

A server that gets its port as a number can lose it twice: between the moment the number was found free and the moment
the server binds it, and while the server is down between a kill and a restart. On Linux a socket that is bound but
never listens reserves the number for as long as it is open: the kernel gives it to nobody who asks for any free port,
neither to listen nor to connect from, while a server that asks for this number with SO_REUSEADDR (every Go program
does) gets it. Nobody can connect to a bound socket that does not listen, so connections to a dead server are still
refused.

Elsewhere a server could not bind the number beside that socket. There it is one of those that no kernel gives to
somebody who asks for any free port: only who asks for this very number can take it.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket

from pytest_netfault.common import system

__all__ = ["ReservedPort"]

# Below those that are given to who asks for any free port: from 32768 on Linux, from 49152 elsewhere.
_NEVER_GIVEN = range(20_000, 32_000)
# Processes beside each other, such as the workers of a session, begin at different places; and each takes its own in
# turn, so that who still knows the number of a server that is gone finds nobody there.
_EACH = 64
_turns = itertools.count()
_chosen: set[int] = set()  # by this process, and not given back


class ReservedPort:
    """One TCP port of this host, ours until `close`; a context manager.

    >>> with ReservedPort() as port:
    ...     0 < port.number < 65536
    True
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket: socket.socket | None = None
        if system.LINUX:
            self._socket = _bound(host, 0)
            self.number: int = self._socket.getsockname()[1]
        else:
            self.number = _choose(host)

    def close(self) -> None:
        """Give the port back. Idempotent."""
        if self._socket is not None:
            self._socket.close()
        else:
            _chosen.discard(self.number)

    def __enter__(self) -> ReservedPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"port-{self.number}"


def _bound(host: str, number: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, number))
    except BaseException:
        sock.close()
        raise
    return sock


def _choose(host: str) -> int:
    """The next free one of this process, or of the next process where all of them are taken."""
    first, turn = os.getpid() * _EACH, next(_turns)
    for step in range(len(_NEVER_GIVEN)):
        place = first + (turn + step) % _EACH + step // _EACH * _EACH
        number = _NEVER_GIVEN[place % len(_NEVER_GIVEN)]
        if number in _chosen:
            continue
        try:
            _bound(host, number).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        _chosen.add(number)
        return number
    raise OSError(
        errno.EADDRINUSE, f"no port between {_NEVER_GIVEN[0]} and {_NEVER_GIVEN[-1]} is free on {host}"
    )
