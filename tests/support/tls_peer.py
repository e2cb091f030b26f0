"""One side of a TLS connection whose every move a test decides, with the methods of a socket.

The ssl module's own sockets do not leave a direction open behind close_notify, wait for the peer's in ``unwrap``, and
report a reset as an ordinary end.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TlsPeer", "shake_hands"]


class TlsPeer:
    """Plaintext in, plaintext out; its socket is its own from now on."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, *, name: str | None = None) -> None:
        # What Nagle's algorithm holds back behind the session tickets would be thrown away by a reset.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = raw
        self.truncated = False  # the peer has ended its direction without close_notify
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=name is None, server_hostname=name
        )

    def shake(self, *, whole: bool = True) -> None:
        """The handshake; only as far as it goes without the peer if that is asked for."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:  # noqa: PERF203 - it waits for the peer each time
                self._send()
                if not whole:
                    return
                data = self.raw.recv(65536)
                assert data, "it ended in the middle of the handshake"
                self._incoming.write(data)
            else:
                self._send()
                return

    def _send(self) -> None:
        if self._outgoing.pending:
            self.raw.sendall(self._outgoing.read())

    def sendall(self, data: bytes) -> None:
        self._tls.write(data)
        self._send()

    def recv(self, size: int) -> bytes:
        """As of a socket; ``truncated`` says which kind of end an end was."""
        while not self.truncated:
            try:
                return self._tls.read(size)
            except ssl.SSLZeroReturnError:  # noqa: PERF203 - likewise
                break
            except ssl.SSLWantReadError:
                data = self.raw.recv(65536)
                self.truncated = not data
                self._incoming.write(data)
        return b""

    def say_goodbye(self) -> None:
        """Send close_notify, and no FIN."""
        waiting = self._incoming.read()  # a shutdown takes what comes for the answer to it
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._incoming.write(waiting)
        self._send()

    def shutdown(self, how: int) -> None:
        self.raw.shutdown(how)

    def setsockopt(self, *arguments: Any) -> None:
        self.raw.setsockopt(*arguments)

    def settimeout(self, seconds: float | None) -> None:
        self.raw.settimeout(seconds)

    def fileno(self) -> int:
        return self.raw.fileno()

    def close(self) -> None:
        self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shake_hands(client: TlsPeer, server: TlsPeer) -> None:
    """Both handshakes of a connection through a link, of which the upstream's comes first."""
    client.shake(whole=False)
    server.shake()
    client.shake()
