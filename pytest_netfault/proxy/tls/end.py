"""An end of a connection whose socket carries TLS.

The kernel knows ciphertext only. So an end also waits until ciphertext that was made has been written, which no pipe
asks for, and comes back to plaintext that was decrypted and not yet wanted, which no poller reports.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import cast

from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.end import End, Side
from pytest_netfault.proxy.engine import Engine, Timer
from pytest_netfault.proxy.poller import READ, WRITE
from pytest_netfault.proxy.tls.stream import TlsStream

__all__ = ["TlsEnd"]


class TlsEnd(End):
    """See the module. While ``on_handshake`` is set, it gets what the socket reports."""

    __slots__ = ("_asked", "_soon", "on_handshake", "stream")

    def __init__(self, engine: Engine, sock: socket.socket, side: Side) -> None:
        self.stream = TlsStream(sock)
        self.on_handshake: Callable[[TlsEnd, int], None] | None = None
        self._asked: int | None = None  # what the poller waits for; None if somebody else watches the socket
        self._soon: Timer | None = None
        super().__init__(engine, cast(socket.socket, self.stream), side)
        self.stream.on_pending = self._pending_changed

    def want(self, reading: bool, writing: bool) -> None:
        """Wait for these from now on, and for the kernel to take what is encrypted already."""
        self.mask = (READ if reading else 0) | (WRITE if writing else 0)
        asked = self.mask | (WRITE if self.stream.pending else 0)
        if asked != self._asked or not self.watched:
            if self.parked and not asked:
                return
            self.parked = False
            if self.watched:
                self.engine.modify(self.fd, asked)
            elif self.fd >= 0:
                self.engine.register(self.fd, asked, self.on_ready)
                self.watched = True
            self._asked = asked
        if reading and self.stream.more:
            self._read_soon()

    def _pending_changed(self) -> None:
        if self.watched and self._asked is not None:
            self.want(bool(self.mask & READ), bool(self.mask & WRITE))

    def _read_soon(self) -> None:
        if self._soon is None:
            self._soon = self.engine.call_at(self.engine.now(), self._read_rest)

    def _read_rest(self) -> None:
        self._soon = None
        if self.fd >= 0 and self.mask & READ and self._asked is not None and self.on_handshake is None:
            self.outgoing.readable()
            if self.fd >= 0 and self.mask & READ and self.stream.more:
                self._read_soon()

    def unwatch(self) -> None:
        """Out of the set."""
        super().unwatch()
        self._asked = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def on_ready(self, mask: int) -> None:
        """The engine says that the socket is ready for something."""
        if mask & WRITE and self.stream.pending:
            with contextlib.suppress(OSError):  # reading says how the peer has ended
                self.stream.flush()
            if not self.stream.pending and self.incoming.finished:
                self.incoming.connection.one_way_done()
                if self.fd < 0:
                    return
        if self.on_handshake is not None:
            self.on_handshake(self, mask)
            return
        if self.stream.pending:
            mask &= ~WRITE
        super().on_ready(mask)
        if self.fd >= 0 and self.mask & READ and self.stream.more:
            self._read_soon()

    @property
    def waiting(self) -> bool:
        """See :attr:`.End.waiting`."""
        return bool(self.stream.pending)

    @property
    def truncated(self) -> bool:
        """See :attr:`.End.truncated`."""
        return self.stream.truncated

    def nothing_left(self) -> bool:
        """See :meth:`.End.nothing_left`; of the ciphertext."""
        return self._ends(self.stream.raw)

    def unacknowledged(self) -> int | None:
        """See :meth:`.End.unacknowledged`."""
        waiting = kernel.unacknowledged(self.sock)
        return None if waiting is None else waiting + len(self.stream.pending)

    def unsent(self) -> int:
        """See :meth:`.End.unsent`."""
        return kernel.unsent(self.sock) + len(self.stream.pending)

    def finish_writing(self, *, in_order: bool = True) -> None:
        """See :meth:`.End.finish_writing`."""
        with contextlib.suppress(OSError):
            self.stream.finish(in_order=in_order)

    def close(self, *, reset: bool = False) -> None:
        """See :meth:`.End.close`."""
        if self.fd >= 0 and not reset and self.stream.tls is not None:
            self.finish_writing()
        super().close(reset=reset)
