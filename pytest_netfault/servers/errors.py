"""What can go wrong around a server, as three exceptions under one base.

Each message is one sentence that says what is missing or what was seen, and what helps.
"""

from __future__ import annotations

from pytest_netfault.common.printable import printable_lines

__all__ = ["ServerError", "ServerNotFound", "ServerUnreachable"]


class ServerError(RuntimeError):
    """A server for tests could not be started, used or read; the message says why and what would help.

    It may quote what the server printed, so that it is made printable here.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable_lines(message))


class ServerNotFound(ServerError):
    """This machine offers no such server; the message names every way to provide one."""


class ServerUnreachable(ServerError):
    """The server gave no usable answer over its own address within the time allowed."""
