"""What the kernel is asked to do for a fault: drop packets, and report what is not yet acknowledged.

A classic BPF program attached to a socket (``SO_ATTACH_FILTER``, no privilege needed) sees each segment that
arrives there, before TCP does. Returning 0 drops it: for a listener that swallows SYNs, so that connecting
hangs; for a connection it swallows data and acknowledgements, so that the peer retransmits. A program may also
draw a random number for each packet, which is real loss.

System calls only, no decisions. Most of them are Linux's own: elsewhere there are no filters, nothing is counted, and
what is not acknowledged is asked for in that system's way.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import select
import socket
import struct
import sys
import termios

from pytest_netfault.common import system

__all__ = ["drops_of", "has_filters", "refused_attempts", "set_loss", "unacknowledged", "unread", "unsent"]

# From asm-generic/socket.h and linux/sockios.h; the socket module does not name them.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_MEMINFO = 55
_SIOCOUTQNSD = 0x894B
_SK_MEMINFO_DROPS = 8
_SK_MEMINFO_VARS = 9

# From sys/socket.h of macOS: what is in the send buffer, which keeps bytes until they are acknowledged.
_SO_NWRITE = 0x1024

# From linux/filter.h and linux/bpf_common.h.
_LD_W_ABS = 0x20
_JMP_JGE_K = 0x35
_RET_K = 0x06
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM: 32 random bits
_KEEP_ALL = 0xFFFFFFFF


def _program(loss: float) -> list[tuple[int, int, int, int]]:
    if loss >= 1:
        return [(_RET_K, 0, 0, 0)]
    return [
        (_LD_W_ABS, 0, 0, _RANDOM),
        (_JMP_JGE_K, 0, 1, min(int(loss * 2**32), 2**32 - 1)),
        (_RET_K, 0, 0, _KEEP_ALL),
        (_RET_K, 0, 0, 0),
    ]


@functools.lru_cache(maxsize=1)
def has_filters() -> bool:
    """Whether this system lets a socket drop what arrives. Tried once: some sandboxes only look like Linux."""
    if not system.LINUX:
        return False
    try:
        with socket.socket() as probe:
            set_loss(probe, 0.5)
    except OSError:
        return False
    return True


def set_loss(sock: socket.socket, loss: float) -> None:
    """Drop each segment that arrives at ``sock`` with this probability; 0 removes the filter."""
    if loss <= 0:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except OSError as error:
            if error.errno != errno.ENOENT:  # there was none
                raise
        return
    program, _ = _packed(loss)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


@functools.lru_cache(maxsize=64)
def _packed(loss: float) -> tuple[bytes, object]:
    """What the kernel is given, and the memory that it refers to."""
    instructions = b"".join(struct.pack("HBBI", *step) for step in _program(loss))
    buffer = ctypes.create_string_buffer(instructions)
    return struct.pack("HP", len(instructions) // 8, ctypes.addressof(buffer)), buffer


def drops_of(sock: socket.socket) -> int:
    """How many segments the kernel has dropped at this socket, by a filter or otherwise; 0 where it does not count."""
    if not system.LINUX:
        return 0
    try:
        info = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _SK_MEMINFO_VARS)
    except OSError:
        return 0
    return int.from_bytes(info[4 * _SK_MEMINFO_DROPS : 4 * _SK_MEMINFO_DROPS + 4], sys.byteorder)


def refused_attempts(*, loopback: bool) -> int | None:
    """A number that rises with each connection attempt that the kernel refuses; None where there is none.

    The kernel tells nobody whose attempt it was, so the number rises with the attempts of everybody in this network
    name space: that it stands still is proof that nobody was refused, and that it rises is no proof of the contrary.

    Args:
        loopback: whether clients can only be in this name space. Their failed attempts are counted then; otherwise all
            resets that were sent, of which there are more.
    """
    if not system.LINUX:
        return None
    try:
        with open("/proc/thread-self/net/snmp", encoding="ascii") as file:  # noqa: PTH123 - on each call of a fault
            names, values = (line.split() for line in file if line.startswith("Tcp:"))
        return int(dict(zip(names, values, strict=True))["AttemptFails" if loopback else "OutRsts"])
    except (OSError, ValueError, KeyError):  # a sandbox that does not count
        return None


def _queue(sock: socket.socket, request: int) -> int:
    answer = fcntl.ioctl(sock.fileno(), request, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder, signed=True)


def unacknowledged(sock: socket.socket) -> int | None:
    """Bytes sent on ``sock`` that the peer's kernel has not acknowledged (a Unix peer: not read); None if unknown."""
    try:
        if sys.platform == "darwin":
            return sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
        return _queue(sock, termios.TIOCOUTQ)
    except OSError:  # a system that has neither
        return None


def unsent(sock: socket.socket) -> int:
    """Bytes that the kernel has not yet put on the wire; 0 where it cannot say.

    Outside Linux 1 stands for any number, and is seen where ``TCP_NOTSENT_LOWAT`` of the socket is 1.
    """
    if not system.LINUX:
        probe = select.poll()
        probe.register(sock.fileno(), select.POLLOUT)
        return 0 if probe.poll(0) else 1
    try:
        return _queue(sock, _SIOCOUTQNSD)
    except OSError:
        return 0


def unread(sock: socket.socket) -> int:
    """Bytes that have arrived at ``sock`` and wait to be read."""
    try:
        return _queue(sock, termios.FIONREAD)
    except OSError:
        return 0
