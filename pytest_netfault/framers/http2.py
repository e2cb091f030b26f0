"""HTTP/2, with gRPC inside it: a frame is one frame of HTTP/2, called by its name (``"DATA"``, ``"PING ack"``).

The messages of gRPC are named as well. They lie inside DATA frames, in one or in several, and are called after their
method: ``"Watch request"``, ``"Watch response"``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pytest_netfault.framers.base import Framer, Message, Open, word
from pytest_netfault.framers.hpack import Decoder

__all__ = ["PREFACE", "framers"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_NAMES = {
    0: "DATA", 1: "HEADERS", 2: "PRIORITY", 3: "RST_STREAM", 4: "SETTINGS", 5: "PUSH_PROMISE", 6: "PING",
    7: "GOAWAY", 8: "WINDOW_UPDATE", 9: "CONTINUATION", 10: "ALTSVC", 12: "ORIGIN", 16: "PRIORITY_UPDATE",
}  # fmt: skip
_DATA, _HEADERS, _SETTINGS, _PING, _CONTINUATION = 0, 1, 4, 6, 9
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
# Longer header blocks are not read; then no stream that comes later can be named.
_LONGEST_BLOCK = 64 * 1024
_MOST_STREAMS = 1_000
_PREFIX = 5  # bytes before a message of gRPC: whether it is compressed, and its size

Streams = OrderedDict[int, str]


class _GrpcMessage:
    """What has come of the message that a stream carries at present."""

    __slots__ = ("end", "left", "number", "prefix", "start", "type")

    def __init__(self) -> None:
        self.prefix = b""
        self.left = 0
        self.start = 0
        self.end: int | None = None
        self.type = ""
        self.number = 0


class _Half(Framer):
    """One direction.

    Args:
        streams: the methods of the streams that carry gRPC, which the requests say.
        suffix: what its messages are, ``"request"`` or ``"response"``.
    """

    def __init__(self, streams: Streams, suffix: str) -> None:
        self.streams = streams
        self._suffix = suffix
        self._messages: OrderedDict[int, _GrpcMessage] = OrderedDict()
        self._flags = self._stream = self._left = self._padding = self._step = 0
        self._in_data = False
        super().__init__()

    def begin(self) -> None:
        self._in_data = False
        self.read(9, self._header)

    def open(self) -> tuple[Open, ...]:
        frames = super().open()
        if self.lost is not None:
            return ()
        # A message whose stream does not carry it just now lies around the frame, and not inside it.
        around: list[Open] = []
        inside: list[Open] = []
        for stream, one in self._messages.items():
            if one.prefix or (self._gathered and self._carries(stream)):
                found = inside if self._carries(stream) else around
                found.append(Open(one.type, one.number, None, one.start, one.end))
        return (*around, *frames, *inside)

    def _carries(self, stream: int) -> bool:
        return self._in_data and self._stream == stream

    def headers(self, block: bytes) -> None:
        """A part of a header block, without padding and priority."""

    def headers_ended(self) -> None:
        """The header block is complete."""

    # -- frames ----------------------------------------------------------------------------------------------

    def _header(self, head: bytes) -> None:
        size, kind, self._flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        self._stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        name = _NAMES.get(kind, "unknown")
        if kind in (_SETTINGS, _PING) and self._flags & _ACK:
            name += " ack"
        self.is_a(name, left=size)
        self._left = size
        if kind in (_DATA, _HEADERS) and self._flags & _PADDED and size:
            self._left -= 1
            self.read(1, self._data_padding if kind == _DATA else self._headers_padding)
        elif kind == _DATA:
            self._padding = 0
            self._in_data = True
            self._data()
        elif kind == _HEADERS:
            self._padding = 0
            self._headers()
        elif kind == _CONTINUATION:
            self._gather(self._block)
        else:
            self.skip(size, self.finish)

    def _headers_padding(self, piece: bytes) -> None:
        self._padding = piece[0]
        self._headers()

    def _headers(self) -> None:
        first = 5 if self._flags & _PRIORITY else 0
        if self._left < first + self._padding:
            self.skip(self._left, self.finish)
            return
        self._left -= first
        self.skip(first, self._after_priority)

    def _after_priority(self, _piece: bytes) -> None:
        self._gather(self._block)

    def _gather(self, then: Callable[[bytes], None]) -> None:
        if self._left <= _LONGEST_BLOCK:
            self.read(self._left, then)
        else:
            self.skip(self._left, then)

    def _block(self, piece: bytes) -> None:
        self.headers(piece[: len(piece) - self._padding])
        self._padding = 0
        if self._flags & _END_HEADERS:
            self.headers_ended()
        self.finish()

    # -- data, and the messages in it ------------------------------------------------------------------------

    def _data_padding(self, piece: bytes) -> None:
        self._padding = min(piece[0], self._left)
        self._left -= self._padding
        self._in_data = True
        self._data()

    def _data(self, _piece: bytes = b"") -> None:
        """Go on with the payload of a DATA frame."""
        if not self._left:
            if self._flags & _END_STREAM:
                self._messages.pop(self._stream, None)
            self.skip(self._padding, self.finish)
            return
        method = self.streams.get(self._stream)
        if method is None:
            self.skip(self._left, self._pass_data)
            return
        message = self._messages.get(self._stream)
        if message is None:
            message = self._messages[self._stream] = _GrpcMessage()
            while len(self._messages) > _MOST_STREAMS:
                self._messages.popitem(last=False)
        if message.left:
            self._body(message)
            return
        if not message.prefix:
            message.start, message.type = self.seen, self._known(f"{method} {self._suffix}")
            self._counts[message.type] = message.number = self.count(message.type) + 1
        self.read(min(_PREFIX - len(message.prefix), self._left), self._prefix)

    def _prefix(self, piece: bytes) -> None:
        message = self._messages[self._stream]
        self._left -= len(piece)
        message.prefix += piece
        if len(message.prefix) == _PREFIX:
            message.left = int.from_bytes(message.prefix[1:], "big")
            if message.prefix[0] > 1:  # no gRPC, whatever its headers say
                self._messages.pop(self._stream)
                self.streams.pop(self._stream)
            elif not message.left:
                self._message_ended(message)
        self._data()

    def _body(self, message: _GrpcMessage) -> None:
        if message.left <= self._left:
            message.end = self.seen + message.left
        self._step = min(message.left, self._left)
        self.skip(self._step, self._grew)

    def _grew(self, _piece: bytes) -> None:
        message = self._messages[self._stream]
        self._left -= self._step
        message.left -= self._step
        if not message.left:
            self._message_ended(message)
        self._data()

    def _message_ended(self, message: _GrpcMessage) -> None:
        self._done.append(Message(message.type, message.number, None, message.start, self.seen))
        self._messages.pop(self._stream)

    def _pass_data(self, _piece: bytes) -> None:
        self._left = 0
        self._data()


class _Requests(_Half):
    """What a client sends."""

    def __init__(self, streams: Streams) -> None:
        self._decoder = Decoder()
        self._gathered_block = b""
        super().__init__(streams, "request")

    def begin(self) -> None:
        if self.frames:
            super().begin()
        else:
            self.read(len(PREFACE), self._preface)

    def headers(self, block: bytes) -> None:
        if len(self._gathered_block) + len(block) > _LONGEST_BLOCK:
            self._decoder.broken = True
        else:
            self._gathered_block += block

    def headers_ended(self) -> None:
        fields = dict(self._decoder.decode(self._gathered_block))
        self._gathered_block = b""
        method = word(fields.get(":path", "").rpartition("/")[2].encode("latin-1"))
        if method is None or not fields.get("content-type", "").startswith("application/grpc"):
            return
        self.streams[self._stream] = method
        while len(self.streams) > _MOST_STREAMS:
            self.streams.popitem(last=False)

    def _preface(self, piece: bytes) -> None:
        if piece != PREFACE:
            self.lose("no preface of HTTP/2")
            return
        self.is_a("preface", left=0)
        self.finish()


class _Responses(_Half):
    """What a server sends; its header blocks say nothing about what a stream is called."""

    def finish(self, _piece: bytes = b"") -> None:
        if self._flags & _END_STREAM and self._type in ("DATA", "HEADERS"):
            self.streams.pop(self._stream, None)
        super().finish()


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    streams: Streams = OrderedDict()
    return _Requests(streams), _Responses(streams, "response")
