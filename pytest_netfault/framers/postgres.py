"""PostgreSQL's protocol, version 3: a frame is one message, called by the name that its documentation gives it.

What follows an encrypted start (TLS, GSSAPI) is not looked at. On a link that ends the TLS itself it is plaintext, and
framed as such.
"""

from __future__ import annotations

from pytest_netfault.framers.base import Framer

__all__ = ["STARTS", "framers"]

# The codes of the messages that come before the protocol version is agreed upon; they have no type byte.
STARTS = {
    80877102: "CancelRequest",
    80877103: "SSLRequest",
    80877104: "GSSENCRequest",
}
_VERSION = 3
_UP = {
    b"B": "Bind",
    b"C": "Close",
    b"D": "Describe",
    b"E": "Execute",
    b"F": "FunctionCall",
    b"H": "Flush",
    b"P": "Parse",
    b"Q": "Query",
    b"S": "Sync",
    b"X": "Terminate",
    b"c": "CopyDone",
    b"d": "CopyData",
    b"f": "CopyFail",
    b"p": "PasswordMessage",  # and the other answers to an Authentication, which share its byte
}
_DOWN = {
    b"1": "ParseComplete",
    b"2": "BindComplete",
    b"3": "CloseComplete",
    b"A": "NotificationResponse",
    b"C": "CommandComplete",
    b"D": "DataRow",
    b"E": "ErrorResponse",
    b"G": "CopyInResponse",
    b"H": "CopyOutResponse",
    b"I": "EmptyQueryResponse",
    b"K": "BackendKeyData",
    b"N": "NoticeResponse",
    b"R": "Authentication",
    b"S": "ParameterStatus",
    b"T": "RowDescription",
    b"V": "FunctionCallResponse",
    b"W": "CopyBothResponse",
    b"Z": "ReadyForQuery",
    b"c": "CopyDone",
    b"d": "CopyData",
    b"n": "NoData",
    b"s": "PortalSuspended",
    b"t": "ParameterDescription",
    b"v": "NegotiateProtocolVersion",
}
_LONGEST_START = 10_000  # PostgreSQL's own limit
_LONGEST = 2**30


class _Handshake:
    """What both directions know: whether the server has yet to answer, in one byte, if it will encrypt."""

    def __init__(self) -> None:
        self.asked = False
        self.over: str | None = None


class _Frontend(Framer):
    def __init__(self, handshake: _Handshake) -> None:
        self._handshake = handshake
        self._started = False
        super().__init__()

    def begin(self) -> None:
        if self._started:
            self.read(5, self._message)
        else:
            self.read(8, self._start_of_all)

    def over(self) -> str | None:
        return self._handshake.over

    def _start_of_all(self, head: bytes) -> None:
        size, code = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        if not 8 <= size <= _LONGEST_START:
            self.lose("a size that no start of a connection has")
        elif code in STARTS:
            self._handshake.asked = code != 80877102
            self.finish_after(size - 8, STARTS[code])
        elif code >> 16 == _VERSION:
            self._started = True
            self._handshake.asked = False
            self.finish_after(size - 8, "StartupMessage")
        else:
            self.lose("a version that is not 3")

    def _message(self, head: bytes) -> None:
        _message(self, head, _UP)


class _Backend(Framer):
    def __init__(self, handshake: _Handshake) -> None:
        self._handshake = handshake
        super().__init__()

    def begin(self) -> None:
        self.read(1, self._first)

    def over(self) -> str | None:
        return self._handshake.over

    def _first(self, kind: bytes) -> None:
        if self._handshake.asked and kind in (b"S", b"G", b"N"):
            self._handshake.asked = False
            self._handshake.over = None if kind == b"N" else "what follows is encrypted"
            self.is_a("encryption refused" if kind == b"N" else "encryption agreed", left=0)
            self.finish()
        else:
            self._kind = kind
            self.read(4, self._message)

    def _message(self, size: bytes) -> None:
        _message(self, self._kind + size, _DOWN)


def _message(framer: Framer, head: bytes, names: dict[bytes, str]) -> None:
    """What follows a type byte and a size, which counts itself."""
    size = int.from_bytes(head[1:], "big")
    if head[:1] not in names:
        framer.lose("a type that no message has")
    elif not 4 <= size <= _LONGEST:
        framer.lose("a size that no message has")
    else:
        framer.finish_after(size - 4, names[head[:1]])


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    handshake = _Handshake()
    return _Frontend(handshake), _Backend(handshake)
