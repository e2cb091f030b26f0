"""How a proof is divided into parts: ``"2/8"`` is the second of eight."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["WHOLE", "Shard", "read_shard"]


@dataclass(frozen=True)
class Shard:
    """One part of a proof: of ``of`` parts this is number ``number``, from 1."""

    number: int
    of: int

    def holds(self, number: int) -> bool:
        """Whether what has this number, counted from 0, belongs to this part."""
        return number % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Shard(1, 1)


def read_shard(text: str) -> Shard:
    """Read ``"2/8"``.

    >>> read_shard("2/8")
    Shard(number=2, of=8)

    Raises:
        ValueError: it is not of that form, or there is no such machine.
    """
    given: object = text
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", given) if isinstance(given, str) else None
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"shard must be a number of a number, such as '2/8', not {text!r}")
    return Shard(int(match[1]), int(match[2]))
