"""What a client asks for in its first message: a server's name (SNI) and protocols (ALPN). Pure; see RFC 8446."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClientHello", "NoTls", "read_hello"]

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16
# A hello with all that is in use today takes less than 2 KiB.
_MOST = 64 * 1024


class NoTls(ValueError):
    """What the client sends is no TLS."""


@dataclass(frozen=True)
class ClientHello:
    """What matters of a client's hello.

    Attributes:
        server_name: the name that it wants to reach; empty if it does not say.
        protocols: what it wants to speak, the best first.
    """

    server_name: str = ""
    protocols: tuple[str, ...] = ()


class _Reader:
    """Reads what TLS calls vectors: a length in so many bytes, and then so much."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if len(self.data) < size:
            raise NoTls("its hello is cut off")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Reader:
        return _Reader(self.take(self.number(size)))


def read_hello(data: bytes) -> ClientHello | None:
    """The hello at the start of what a client has sent; None if it is not complete yet.

    Raises:
        NoTls: it is none, and will not become one.

    >>> read_hello(b"GET / HTTP/1.1")
    Traceback (most recent call last):
        ...
    pytest_netfault.proxy.tls.hello.NoTls: it sends no TLS, but b'GET / HTTP/1.1'
    >>> read_hello(bytes([22, 3, 1])) is None
    True
    """
    message, rest = b"", data
    while True:
        if rest[:1] not in (b"", b"\x16"):
            raise NoTls(f"it sends no TLS, but {data[:40]!r}")
        if len(rest) < 5 or len(rest) < 5 + (size := int.from_bytes(rest[3:5], "big")):
            if len(data) > _MOST:
                raise NoTls(f"its hello is larger than {_MOST} bytes")
            return None
        message, rest = message + rest[5 : 5 + size], rest[5 + size :]
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            break
    if message[0] != _CLIENT_HELLO:
        raise NoTls("its first message is no ClientHello")
    return _parsed(_Reader(message[4:]))


def _parsed(hello: _Reader) -> ClientHello:
    hello.take(2 + 32)  # the version and a random number
    for size in (1, 2, 1):  # session, ciphers, compressions
        hello.vector(size)
    name = ""
    protocols: tuple[str, ...] = ()
    extensions = hello.vector(2) if hello.data else hello
    while extensions.data:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            names = content.vector(2)
            if names.data and names.number(1) == 0:
                name = names.vector(2).data.decode("ascii", "replace")
        elif kind == _ALPN:
            protocols = tuple(_protocols(content.vector(2)))
    return ClientHello(name, protocols)


def _protocols(listed: _Reader) -> list[str]:
    found = []
    while listed.data:
        found.append(listed.vector(1).data.decode("ascii", "replace"))
    return found
