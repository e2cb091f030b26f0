"""What can go wrong around a server, as three exceptions under one base.

Rules of this file: no I/O; each message is one sentence that says what is missing or what was seen, and
what helps.
"""

from __future__ import annotations

__all__ = ["ServerError", "ServerNotFound", "ServerUnreachable"]


class ServerError(RuntimeError):
    """A server for tests could not be started, used or read; the message says why and what would help."""


class ServerNotFound(ServerError):
    """This machine offers no such server; the message names every way to provide one."""


class ServerUnreachable(ServerError):
    """The server gave no usable answer over its own address within the time allowed."""
