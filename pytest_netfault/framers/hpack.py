"""HPACK (RFC 7541), decoding only: the header fields of HTTP/2, as far as they say what a stream carries.

In the standard library there is no decoder, and a proxy that only names frames should not need a package for it.
"""

from __future__ import annotations

from collections import deque

from pytest_netfault.common.wording import counted

__all__ = ["Decoder"]

# Names, and values where there is one.
_STATIC_TEXT = (
    ":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|"
    ":status=204|:status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|"
    "accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|"
    "authorization|cache-control|content-disposition|content-encoding|content-language|content-length|"
    "content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|"
    "if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|"
    "proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|"
    "strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
_STATIC = [tuple(entry.partition("=")[::2]) for entry in _STATIC_TEXT.split("|")]
# The Huffman code is canonical, so the length of each symbol's code says all: A is 5 bits, Z is 30.
_LENGTHS = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACC"
    "BBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRSVVPORSRUVVVWWVTUOQVWWVWTQ"
    "QVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWVZ"
)
# What an entry of the table costs beside its text.
_ENTRY = 32
_DEFAULT_SIZE = 4096
# An encoder that announces a larger table than this is not followed.
_LARGEST_SIZE = 64 * 1024


def _codes() -> dict[tuple[int, int], int]:
    """From the length of a code and the code to the byte."""
    lengths = {symbol: ord(letter) - ord("A") + 5 for symbol, letter in enumerate(_LENGTHS)}
    made, code, before = {}, 0, 5
    for symbol, length in sorted(lengths.items(), key=lambda one: (one[1], one[0])):
        code <<= length - before
        made[length, code] = symbol
        code, before = code + 1, length
    return made


_CODES = _codes()
_END = 256


def _unpacked(data: bytes) -> bytes | None:
    """Text out of its Huffman code; None if it is none."""
    made = bytearray()
    code = length = 0
    for byte in data:
        for shift in range(7, -1, -1):
            code, length = code << 1 | (byte >> shift & 1), length + 1
            symbol = _CODES.get((length, code))
            if symbol is not None:
                if symbol == _END:
                    return None
                made.append(symbol)
                code = length = 0
            elif length == 30:
                return None
    return bytes(made) if length < 8 and code == (1 << length) - 1 else None


class Decoder:
    """The header fields of one direction of a connection; its table is no larger than 64 KiB.

    Attributes:
        broken: a block could not be read; as each block can depend on those before it, no other can.
    """

    def __init__(self) -> None:
        self.broken = False
        self._table: deque[tuple[str, str]] = deque()  # the newest first
        self._size = 0
        self._most = _DEFAULT_SIZE

    def decode(self, block: bytes) -> list[tuple[str, str]]:
        """The fields of one header block; none if it cannot be read."""
        if not self.broken:
            try:
                return self._fields(block)
            except (IndexError, ValueError):
                self.broken = True
                self._table.clear()
        return []

    def _fields(self, block: bytes) -> list[tuple[str, str]]:
        fields = []
        at = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                fields.append(self._entry(index))
            elif first & 0xE0 == 0x20:
                size, at = _integer(block, at, 5)
                if size > _LARGEST_SIZE:
                    raise ValueError(f"a table of {counted(size, 'byte')}")
                self._most = size
                self._evict()
            else:
                kept = bool(first & 0x40)
                index, at = _integer(block, at, 6 if kept else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _text(block, at)
                value, at = _text(block, at)
                fields.append((name, value))
                if kept:
                    self._add(name, value)
        return fields

    def _entry(self, index: int) -> tuple[str, str]:
        if index < 1:
            raise ValueError("an index of 0")
        if index <= len(_STATIC):
            name, value = _STATIC[index - 1]
            return name, value
        return self._table[index - len(_STATIC) - 1]

    def _add(self, name: str, value: str) -> None:
        self._table.appendleft((name, value))
        self._size += len(name) + len(value) + _ENTRY
        self._evict()

    def _evict(self) -> None:
        while self._size > self._most:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    for shift in range(0, 35, 7):
        byte = block[at]
        at += 1
        number += (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number of more than five bytes")


def _text(block: bytes, at: int) -> tuple[str, int]:
    packed = bool(block[at] & 0x80)
    size, at = _integer(block, at, 7)
    data = block[at : at + size]
    if len(data) != size:
        raise ValueError("a text that is cut off")
    unpacked = _unpacked(data) if packed else data
    if unpacked is None:
        raise ValueError("a text that is no Huffman code")
    return unpacked.decode("latin-1"), at + size
