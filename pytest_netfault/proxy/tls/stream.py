"""Ciphertext on a socket, plaintext towards the pipes: the methods of a non-blocking socket, one layer up.

* ``recv`` decrypts what has come, at most what was asked for. What it leaves over is no news for a poller, so ``more``
  says that there is some.
* ``send`` encrypts what fits and passes it to the kernel. A record cannot be taken back once it is made, so what the
  kernel does not take is kept (``pending``), and nothing more is accepted before it has gone.
* The end of a direction is told as what it was: ``truncated`` if there was no close_notify before the FIN.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

__all__ = ["TlsStream"]

_RAW_READ = 256 * 1024
# Encrypted in one go: so much may wait for the kernel, besides what it holds itself.
_PIECE = 64 * 1024
_ALERT = 21
_SHOWN = 40


class TlsStream:
    """The plaintext of a TLS connection; before :meth:`begin` nothing passes, and ``raw_in`` has what has come."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.family = raw.family
        self.tls: ssl.SSLObject | None = None
        self.raw_in = bytearray()
        self.first = b""  # what came first after begin(), for whoever speaks no TLS
        self.pending = memoryview(b"")  # ciphertext that the kernel has not taken yet
        self.more = False  # recv() would return something, whatever the socket says
        self.ended = False  # nothing more comes
        self.raw_ended = False  # nothing more comes on the socket
        self.truncated = False  # it ended without close_notify
        self.finished = False  # our side has said its last word
        self.alert: int | None = None  # the last one that came unencrypted
        self.on_pending: Callable[[], None] = lambda: None
        self.on_failure: Callable[[str], None] = lambda _: None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._shut_when_sent = False
        self._failure: ssl.SSLError | None = None
        self._reset: OSError | None = (
            None  # what the socket has reported behind bytes that were still to be read
        )
        self._failure_said = False

    # -- as a socket has them -------------------------------------------------------------------------------

    def fileno(self) -> int:
        return self.raw.fileno()

    def setsockopt(self, *arguments: Any) -> None:
        self.raw.setsockopt(*arguments)

    def getsockopt(self, *arguments: Any) -> Any:
        return self.raw.getsockopt(*arguments)

    def getpeername(self) -> Any:
        return self.raw.getpeername()

    def getsockname(self) -> Any:
        return self.raw.getsockname()

    def close(self) -> None:
        self.raw.close()

    def recv(self, size: int) -> bytes:
        """Up to so many bytes of plaintext; none at the end. Raises what a socket raises."""
        buffer = bytearray(min(size, _RAW_READ))
        return bytes(memoryview(buffer)[: self.recv_into(memoryview(buffer), len(buffer))])

    def recv_into(self, buffer: memoryview, size: int) -> int:
        """The same, into a buffer."""
        if self.tls is None:
            raise BlockingIOError
        self._raise_failure()
        got, fed, self.more = 0, False, False
        while got < size:
            read = self._read(buffer[got:size])
            if read is None or (read == 0 and (fed or not self._feed_behind(got))):
                break
            got += read
            fed = fed or read == 0
        self._flush_quietly()  # what TLS has to answer by itself, such as a new key, or why it fails
        if not got:
            self._raise_failure()
        if not got and not self.ended:
            raise BlockingIOError
        # The socket may report nothing more: what is left was read from it already.
        broken = self._failure is not None or self._reset is not None
        self.more = bool(got) and (got == size or self.ended or broken)
        return got

    def _feed_behind(self, got: int) -> bool:
        """Take in more behind what was read; a reset comes after that, and a socket reports it only once."""
        try:
            return self.feed()
        except OSError as error:
            if not got:
                raise
            self._reset = error
            return False

    def _raise_failure(self) -> None:
        """Raise that TLS or the socket has failed, if it has: nothing more can be read."""
        if self._reset is not None:
            raise self._reset
        if self._failure is not None:
            if not self._failure_said:
                self._failure_said = True
                self.on_failure(self._failure.reason or str(self._failure))
            raise self._failure

    def _read(self, buffer: memoryview) -> int | None:
        """Plaintext that is there; 0 if there is none yet, and None if there is no more."""
        if self.ended or self._failure is not None:
            return None
        assert self.tls is not None
        try:
            read = int(self.tls.read(len(buffer), buffer))
        except ssl.SSLWantReadError:
            if not self.raw_ended:
                return 0
            self.ended = self.truncated = True
        except ssl.SSLZeroReturnError:  # close_notify, after ours
            self.ended = True
        except ssl.SSLError as error:
            self._failure = error
        else:
            self.ended = not read
            return read or None
        return None

    def send(self, data: bytes | memoryview) -> int:
        """Encrypt and send; returns how much was taken, which is then on its way."""
        if self.pending:
            self.flush()
        if self.pending or self.tls is None:
            raise BlockingIOError
        view, taken = memoryview(data), 0
        while taken < len(view) and not self.pending:
            try:
                taken += self.tls.write(view[taken : taken + _PIECE])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            self.flush()
        if not taken:
            raise BlockingIOError
        return taken

    def shutdown(self, _how: int) -> None:
        """End our side in order."""
        self.finish(in_order=True)

    # -- beneath --------------------------------------------------------------------------------------------

    def begin(self, context: ssl.SSLContext, *, server_side: bool, name: str | None = None) -> ssl.SSLObject:
        """Start TLS; what has come so far is the beginning of it."""
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=name
        )
        self.first = bytes(self.raw_in[:_SHOWN])
        self._incoming.write(bytes(self.raw_in))
        self.raw_in.clear()
        return self.tls

    def feed(self) -> bool:
        """Take in what the socket has, its end too; False if there is nothing now."""
        try:
            data = self.raw.recv(_RAW_READ)
        except BlockingIOError:
            return False
        if not data:
            # OpenSSL is not told: it would not let us write any more, and the other direction may go on.
            self.raw_ended = True
            return True
        if data[0] == _ALERT and len(data) >= 7 and data[3:5] == b"\0\2":
            self.alert = data[6]
        if self.tls is None:
            self.raw_in += data
        else:
            self.first = self.first or data[:_SHOWN]
            self._incoming.write(data)
        return True

    def flush(self) -> None:
        """Hand the kernel what is encrypted, as far as it takes it."""
        had = bool(self.pending)
        if self._outgoing.pending:
            made = self._outgoing.read()
            self.pending = memoryview(self.pending.tobytes() + made if had else made)
        while self.pending:
            try:
                sent = self.raw.send(self.pending)
            except BlockingIOError:
                break
            self.pending = self.pending[sent:]
        if not self.pending and self._shut_when_sent:
            self._shut_when_sent = False
            self.raw.shutdown(socket.SHUT_WR)
        if had != bool(self.pending):
            self.on_pending()

    def _flush_quietly(self) -> None:
        """The same where it is not the time to report that the peer is gone: reading does."""
        if self.pending or self._outgoing.pending:
            with contextlib.suppress(OSError):
                self.flush()

    def finish(self, *, in_order: bool) -> None:
        """Say our last word: close_notify if it is in order, and FIN behind all that was sent."""
        if self.finished:
            return
        self.finished = True
        if self.tls is not None and in_order:
            waiting = (
                self._incoming.read()
            )  # not to be looked at by the shutdown, which expects only an answer
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()
            self._incoming.write(waiting)
        self._shut_when_sent = True
        self.flush()
