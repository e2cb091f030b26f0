"""HTTP/1: a frame is the head of a message, a whole body whose length is known, or one chunk of a body.

A head is called by its method (``"GET request"``) or by its status (``"200 response"``); what follows it is a
``"body"``, a ``"chunk"``, or the ``"last chunk"`` with the trailers.
"""

from __future__ import annotations

import re
from collections import deque

from pytest_netfault.framers.base import LINE_KEPT, Framer

__all__ = ["REQUEST_LINE", "framers"]

REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]{0,30}) [^ ]+ HTTP/1\.[01]\r?\n")
_LONG_REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]{0,30}) [^ ]")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])\b")
_MOST_WAITING = 1_000
_MOST_HEADER_LINES = 10_000
_LONGEST_NUMBER = 16


class _Exchange:
    """What both directions know: the methods of the requests that have no response yet."""

    def __init__(self) -> None:
        self.waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self.switched = False


class _Half(Framer):
    """One direction."""

    def __init__(self, exchange: _Exchange) -> None:
        self.exchange = exchange
        super().__init__()

    def begin(self) -> None:
        self._length: int | None = None
        self._chunked = False
        self._lines = 0
        self.line(self._first_line)

    def start_line(self, line: bytes) -> bool:
        """Look at the first line of a head; False if it is none, and then the framer is lost."""
        raise NotImplementedError

    def without_body(self) -> bool:
        """Whether nothing follows the head, whatever its header lines say."""
        raise NotImplementedError

    def until_the_end(self) -> bool:
        """Whether a body of unknown length lasts until the end of the connection."""
        raise NotImplementedError

    def over(self) -> str | None:
        return "the connection has switched to another protocol" if self.exchange.switched else None

    def _first_line(self, line: bytes) -> None:
        if not line.strip() and self._lines < _MOST_HEADER_LINES:
            self._lines += 1  # empty lines before a request are allowed
            self.line(self._first_line)
        elif self.start_line(line):
            self.line(self._header)

    def _header(self, line: bytes) -> None:
        self._lines += 1
        if line in (b"\r\n", b"\n"):
            self._head_ended()
            return
        name, colon, value = line.partition(b":")
        if not colon or self._lines > _MOST_HEADER_LINES:
            self.lose("a line that is no header")
            return
        name, value = name.strip().lower(), value.strip().lower()
        if name == b"content-length":
            if not value.isdigit() or len(value) > _LONGEST_NUMBER:
                self.lose("a Content-Length that is no number")
                return
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._chunked = value.rpartition(b",")[2].strip() == b"chunked"
        self.line(self._header)

    def _head_ended(self) -> None:
        length, chunked = self._length, self._chunked
        none, endless = self.without_body(), self.until_the_end()
        self.finish()
        if none:
            return
        if chunked:
            self.line(self._chunk)
        elif length:
            self.finish_after(length, "body")
        elif length is None and endless:
            self.is_a("body")
            self.skip(2**62, self.finish)

    def _chunk(self, line: bytes) -> None:
        digits = line.partition(b";")[0].strip()
        if not 0 < len(digits) <= _LONGEST_NUMBER or re.fullmatch(rb"[0-9a-fA-F]+", digits) is None:
            self.lose("a chunk without a size")
            return
        size = int(digits, 16)
        if size:
            self.is_a("chunk", left=size + 2)
            self.skip(size, self._chunk_data_ended)
        else:
            self.is_a("last chunk")
            self._lines = 0
            self.line(self._trailer)

    def _chunk_data_ended(self, _piece: bytes) -> None:
        self.read(2, self._chunk_ended)

    def _chunk_ended(self, piece: bytes) -> None:
        if piece != b"\r\n":
            self.lose("a chunk that is longer than its size")
            return
        self.finish()
        self.line(self._chunk)

    def _trailer(self, line: bytes) -> None:
        self._lines += 1
        if line in (b"\r\n", b"\n"):
            self.finish()
        elif self._lines > _MOST_HEADER_LINES:
            self.lose("trailers without an end")
        else:
            self.line(self._trailer)


class _Requests(_Half):
    def start_line(self, line: bytes) -> bool:
        # Of one that is too long to be kept, the version is missing.
        found = (_LONG_REQUEST_LINE if len(line) >= LINE_KEPT else REQUEST_LINE).match(line)
        if found is None:
            self.lose("a line that begins no request")
            return False
        self._method = found.group(1).decode()
        self.is_a(f"{self._method} request")
        return True

    def without_body(self) -> bool:
        self.exchange.waiting.append(self._method)
        return False

    def until_the_end(self) -> bool:
        return False


class _Responses(_Half):
    def start_line(self, line: bytes) -> bool:
        found = _STATUS_LINE.match(line)
        if found is None:
            self.lose("a line that begins no response")
            return False
        self._status = int(found.group(1))
        self.is_a(f"{self._status} response")
        return True

    def without_body(self) -> bool:
        if self._status == 101:
            self.exchange.switched = True
            return True
        if self._status < 200:
            return True
        method = self.exchange.waiting.popleft() if self.exchange.waiting else "GET"
        if method == "CONNECT" and self._status < 300:
            self.exchange.switched = True
        return method in ("HEAD", "CONNECT") or self._status in (204, 304)

    def until_the_end(self) -> bool:
        return True


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    exchange = _Exchange()
    return _Requests(exchange), _Responses(exchange)
