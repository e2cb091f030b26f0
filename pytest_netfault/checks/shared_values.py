"""Values of a store as small numbers, which share what they have in common.

A search meets a million values, and where operations append, each is most of the one before it. Here a value is kept
once, an appended string as the string that it was appended to and what was added, and everybody else counts with its
number. Two numbers are equal exactly if the values are.

::

    0 "a"      1 "b"      2 = 0 + "b"      3 = 1 + "a"          "ab" is 2, however it came about

A fingerprint only finds, and what it finds is compared; ``bytes_held`` is counted by a formula rather than measured, so
that a limit means the same on every machine.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["NO_VALUE", "SharedValues"]

#: The number of "no value".
NO_VALUE = 0

# Strings are numbers to the base of 256, modulo a prime: the fingerprint of two strings together follows from theirs.
_PRIME = 10**18 + 9
_NODE_BYTES = 300


class SharedValues:
    """The values of one key.

    Attributes:
        bytes_held: about how much memory they take.
    """

    def __init__(self) -> None:
        self.bytes_held = 0
        self._whole: list[Hashable] = [None]  # the value, or of an appended string what was added
        self._parents: list[int] = [-1]  # what it was added to; -1 where nothing was
        self._prints: list[int] = [-1]  # of strings; -1 elsewhere
        self._lengths: list[int] = [0]  # of strings, in bytes
        self._numbers: dict[Hashable, int] = {None: NO_VALUE}  # of what is no string
        self._strings: dict[tuple[int, int], int] = {}  # by fingerprint and length, the first that has them
        self._collisions: dict[int, int] = {}  # the next one with the same
        self._pieces: dict[str, tuple[int, int, int]] = {}  # length, fingerprint, and 256 ** length

    def number(self, value: Hashable) -> int:
        """The number of a value."""
        if isinstance(value, str):
            length, mark, _ = self._piece(value)
            return self._string(-1, value, length, mark)
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = self._new(-1, value, 0, -1)
        return found

    def appended(self, number: int, text: str) -> int | None:
        """The number of a string with something added, or of what was added to no value; None for what is no string."""
        if number == NO_VALUE:
            return self.number(text)
        if self._prints[number] < 0:
            return None
        length, mark, shift = self._piece(text)
        if not length:
            return number
        return self._string(
            number, text, self._lengths[number] + length, (self._prints[number] * shift + mark) % _PRIME
        )

    def value(self, number: int) -> Hashable:
        """The value with this number."""
        if self._prints[number] < 0:
            return self._whole[number]
        pieces = []
        while number >= 0:
            pieces.append(str(self._whole[number]))
            number = self._parents[number]
        return "".join(reversed(pieces))

    def _piece(self, text: str) -> tuple[int, int, int]:
        found = self._pieces.get(text)
        if found is None:
            data = text.encode("utf-8", "surrogatepass")
            mark = int.from_bytes(data, "big") % _PRIME
            found = self._pieces[text] = (len(data), mark, pow(256, len(data), _PRIME))
        return found

    def _string(self, parent: int, text: str, length: int, mark: int) -> int:
        first = self._strings.get((mark, length))
        if first is None:
            first = self._strings[mark, length] = self._new(parent, text, length, mark)
            return first
        other: int | None = first
        while other is not None:
            if self._is(other, parent, text):
                return other
            last, other = other, self._collisions.get(other)
        self._collisions[last] = self._new(parent, text, length, mark)
        return self._collisions[last]

    def _is(self, number: int, parent: int, text: str) -> bool:
        if self._parents[number] == parent and self._whole[number] == text:
            return True
        before = "" if parent < 0 else str(self.value(parent))
        return self.value(number) == before + text

    def _new(self, parent: int, piece: Hashable, length: int, mark: int) -> int:
        self._whole.append(piece)
        self._parents.append(parent)
        self._lengths.append(length)
        self._prints.append(mark)
        self.bytes_held += _NODE_BYTES
        return len(self._whole) - 1
