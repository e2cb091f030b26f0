"""A process without what only Linux has, so that a program finds out what it uses of it.

To be called first of all in a process of its own: before anything of ours is imported, and after what others have ways
of their own to do for each system.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import termios
import types
from collections.abc import Callable
from typing import Any

import trio.testing  # noqa: F401 - for its own calls it looks at the system when it is imported

_CALLS = (
    "P_PID P_PIDFD WEXITED WNOWAIT WSTOPPED eventfd memfd_create pidfd_open pipe2 posix_fadvise sched_getaffinity "
    "sched_setaffinity splice unshare waitid"
)
_NAMES = {
    "select": ("EPOLL", "epoll", "POLLRDHUP"),
    "socket": ("TCP_", "SO_", "SOCK_", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "MSG_"),
}
_EVERYWHERE = (
    "AF_INET AF_INET6 AF_UNIX IPV6_V6ONLY MSG_PEEK MSG_WAITALL SOCK_DGRAM SOCK_STREAM SO_ERROR SO_KEEPALIVE SO_LINGER "
    "SO_RCVBUF SO_REUSEADDR SO_SNDBUF TCP_NODELAY"
)
_OPTIONS = {
    (level, getattr(socket, name))
    for level, prefix in (
        (socket.SOL_SOCKET, "SO_"),
        (socket.IPPROTO_TCP, "TCP_"),
        (socket.IPPROTO_IPV6, "IPV6_"),
    )
    for name in _EVERYWHERE.split()
    if name.startswith(prefix)
}
_SO_NWRITE = 0x1024  # of macOS


def take_away(platform: str) -> list[str]:
    """Take it all away; what is used all the same raises, and is in the list that this returns."""
    used: list[str] = []

    def no(what: str) -> AssertionError:
        used.append(what)
        return AssertionError(f"only Linux has {what}")

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ctypes.dlopen":
            raise no("the C library as ctypes finds it")
        if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
            raise no(str(arguments[0]))

    ioctl = fcntl.ioctl
    requests = {termios.FIONREAD, termios.TIOCOUTQ} if platform == "linux" else {termios.FIONREAD}

    def some_ioctl(fd: int, request: int, *arguments: Any) -> Any:
        if request not in requests:
            raise no(f"the ioctl {request:#x}")
        return ioctl(fd, request, *arguments)

    some_socket = _socket(platform, no)
    for name, prefixes in _NAMES.items():
        _shorten(name, prefixes)
    for module, name, value in (("socket", "socket", some_socket), ("fcntl", "ioctl", some_ioctl)):
        setattr(sys.modules[module], name, value)
    for name in _CALLS.split():
        if hasattr(os, name):
            delattr(os, name)
    sys.platform = platform
    sys.addaudithook(listen)
    return used


def _shorten(name: str, prefixes: tuple[str, ...]) -> None:
    """Whoever imports this module from now on gets it without the names that begin like this."""
    rest = types.ModuleType(name)
    for key, value in vars(sys.modules[name]).items():
        if key in _EVERYWHERE.split() or not key.startswith(prefixes):
            setattr(rest, key, value)
    sys.modules[name] = rest


def _socket(platform: str, no: Callable[[str], Exception]) -> type[socket.socket]:
    class Socket(socket.socket):
        def setsockopt(self, level: int, option: int, *value: Any) -> None:
            if (level, option) not in _OPTIONS:
                raise no(f"the socket option {level}, {option}")
            super().setsockopt(level, option, *value)

        def getsockopt(self, level: int, option: int, *size: Any) -> Any:
            if platform == "darwin" and (level, option) == (socket.SOL_SOCKET, _SO_NWRITE):
                raise OSError("what only a Mac knows")
            if (level, option) not in _OPTIONS:
                raise no(f"the socket option {level}, {option}")
            return super().getsockopt(level, option, *size)

        def shutdown(self, how: int) -> None:
            if super().getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise no("shutdown() of a listening socket")
            super().shutdown(how)

    return Socket
