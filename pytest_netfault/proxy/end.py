"""One socket of a connection, and what is waited for on it.

Rules of this file:

* **Back-pressure.** READ is asked for only while the pipe wants data. If the socket reports a hang-up meanwhile, and a
  fault holds this direction, it leaves the poller until it is wanted again, or the loop would spin on it. If only a
  slow receiver stands in the way, the rest is read: no more can come than the kernel has.
* A handler tolerates spurious readiness: it may have been meant for a socket that had this descriptor before.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.engine import Engine
from pytest_netfault.proxy.poller import PEER_ENDED, READ, TROUBLE, WRITE

if TYPE_CHECKING:
    from pytest_netfault.proxy.pipe import Pipe

__all__ = ["End", "Side"]

# What the kernel may hold unsent for a receiver that does not read. Small, so that a fault that comes into force
# stops a stream where it is and not megabytes later; large enough that a bulk stream finds room for most of a read.
_UNSENT_LOW_WATER = 256 * 1024

_NOT_SENT = getattr(socket, "TCP_NOTSENT_LOWAT", 0)  # not on every system
_RESET = struct.pack("ii", 1, 0)

Side = Literal["client", "upstream"]


class End:
    """A socket of a connection and what is waited for on it."""

    __slots__ = (
        "engine",
        "fd",
        "incoming",
        "loss",
        "mask",
        "outgoing",
        "parked",
        "reset",
        "separate",
        "side",
        "sock",
        "watched",
    )

    def __init__(self, engine: Engine, sock: socket.socket, side: Side) -> None:
        self.engine = engine
        self.sock = sock
        self.fd = sock.fileno()
        self.side = side
        self.mask = 0
        self.loss = 0.0
        self.watched = False
        self.parked = False
        self.reset = False  # the peer reset, seen when writing; reading may not say it again
        self.separate = False  # the kernel says "writable" only once all that was written has left
        self.incoming: Pipe  # the pipe that writes to this socket
        self.outgoing: Pipe  # the pipe that reads from it
        if sock.family != socket.AF_UNIX:
            self._set_option(socket.TCP_NODELAY, 1)
            if _NOT_SENT:
                self._set_option(_NOT_SENT, _UNSENT_LOW_WATER)

    def _set_option(self, option: int, value: int) -> None:
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:  # macOS refuses once the peer has reset; reading says that it has
            pass

    def want(self, reading: bool, writing: bool) -> None:
        """Wait for these from now on."""
        mask = (READ if reading else 0) | (WRITE if writing else 0)
        if mask == self.mask and self.watched:
            return
        self.mask = mask
        if self.parked:
            if not mask:
                return
            self.parked = False
        if self.watched:
            self.engine.modify(self.fd, mask)
        elif self.fd >= 0:
            self.engine.register(self.fd, mask, self.on_ready)
            self.watched = True

    @property
    def connected(self) -> bool:
        """Whether the kernel has a peer for it, whatever we know of it yet."""
        try:
            self.sock.getpeername()
        except OSError:
            return False
        return True

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has ended its side, or is gone."""
        if PEER_ENDED:
            return bool(self._poll(PEER_ENDED) & (PEER_ENDED | select.POLLHUP | select.POLLERR))
        events = self._poll()
        if events & (select.POLLHUP | select.POLLERR):
            return True
        return bool(events & select.POLLIN) and self.nothing_left()

    @property
    def peer_gone(self) -> bool:
        """Whether the kernel has no peer for it any more: closing the socket sends nothing."""
        gone = bool(self._poll() & (select.POLLHUP | select.POLLERR))
        # Where a hang-up may be a mere FIN, whose sender still listens, the kernel is asked for the peer.
        return gone and (bool(PEER_ENDED) or self.sock.family == socket.AF_UNIX or not self.connected)

    @property
    def hides_its_end(self) -> bool:
        """Whether only reading would show that the peer has ended, and there are bytes to be read before."""
        return not PEER_ENDED and bool(self._poll() & select.POLLIN)

    def nothing_left(self) -> bool:
        """Whether reading would say that the peer has ended, and not give bytes first."""
        return self._ends(self.sock)

    @staticmethod
    def _ends(sock: socket.socket) -> bool:
        try:
            return not sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _poll(self, mask: int = select.POLLIN) -> int:
        probe = select.poll()
        probe.register(self.fd, mask)
        return sum(events for _, events in probe.poll(0))

    def set_separate(self, separate: bool) -> None:
        """Whether each write must leave as a segment of its own, so that the next one waits until it has."""
        if self.separate != separate:
            self.separate = separate
            if self.sock.family != socket.AF_UNIX and _NOT_SENT:
                self._set_option(_NOT_SENT, 1 if separate else _UNSENT_LOW_WATER)

    def _trouble(self) -> None:
        """The socket reports a hang-up while nothing is read from it.

        Checked again, because the event may be a late one, meant for a socket that had this descriptor before.
        """
        events = self._poll()
        if events & (select.POLLERR | select.POLLHUP):
            self.reset = self.reset or bool(events & select.POLLERR)
            if self.reset:
                self.outgoing.source_reset()
            self.parked = True
            self.unwatch()

    def watch_for_end(self, on_end: Callable[[], None]) -> None:
        """Read and write nothing more; ``on_end`` is called when the peer may have ended its side, or be gone."""
        self.unwatch()
        if self.fd >= 0:
            self.engine.register(self.fd, PEER_ENDED or READ, lambda _mask: on_end())
            self.watched = True

    def watch_for_gone(self) -> None:
        """What was reported is reported for ever: from now on wait only until the peer is gone.

        Where a hang-up may be a mere FIN, and there was one, no event tells more: the socket stays until the link ends.
        """
        if not self.watched:
            return
        if not PEER_ENDED and self._poll(select.POLLHUP) & select.POLLHUP:
            self.unwatch()
        else:
            self.engine.modify(self.fd, 0)

    def unwatch(self) -> None:
        """Out of the set."""
        if self.watched:
            self.watched = False
            self.engine.unregister(self.fd)

    def on_ready(self, mask: int) -> None:
        """The engine says that the socket is ready for something."""
        if mask & WRITE and self.mask & WRITE:
            self.incoming.writable()
        if mask & (READ | TROUBLE) and self.fd >= 0:
            if self.mask & READ:
                self.outgoing.readable()
            elif mask & TROUBLE:
                if self.mask & WRITE:  # a write will report what is wrong
                    self.incoming.writable()
                if self.fd >= 0 and not self.mask & READ:
                    self._trouble()

    @property
    def waiting(self) -> bool:
        """Whether something that was written has not reached the kernel yet."""
        return False

    @property
    def truncated(self) -> bool:
        """Whether the peer has ended its side in a way that its protocol does not count as an end."""
        return False

    def unacknowledged(self) -> int | None:
        """Bytes that were written and that the peer's kernel has not acknowledged; None where nobody knows."""
        return kernel.unacknowledged(self.sock)

    def unsent(self) -> int:
        """Bytes that were written and are not on the wire yet; 0 where the kernel cannot say."""
        return kernel.unsent(self.sock)

    def finish_writing(self, *, in_order: bool = True) -> None:
        """Send FIN behind what was sent.

        Args:
            in_order: whether a protocol that says goodbye before it should do so.
        """
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone already; the reading side says how
            pass

    def close(self, *, reset: bool = False) -> None:
        """Close the socket: with RST if asked, otherwise as the kernel closes."""
        if self.fd < 0:
            return
        self.unwatch()
        self.fd = -1
        if reset and self.sock.family != socket.AF_UNIX:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass
        self.sock.close()
