"""Checks of arguments, of faults and of other calls: messages name the argument, the value and what would be valid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

__all__ = [
    "DIRECTIONS",
    "Direction",
    "choice",
    "count",
    "direction",
    "flag",
    "number",
    "probability",
    "seconds",
    "shown",
]

Direction = Literal["up", "down", "both"]
#: Every direction, the simplest first.
DIRECTIONS: tuple[Direction, ...] = ("both", "up", "down")

# A delay of more than a day is almost certainly a unit error: milliseconds passed as seconds.
_LONGEST_SECONDS = 86_400.0
# Stream positions and rates are carried as 64-bit numbers in traces read by other tools.
LARGEST_COUNT = 2**63 - 1
# A value that is longer than this explains nothing in a message.
_LONGEST_SHOWN = 80


def shown(value: object) -> str:
    """A value for a message: its ``repr``, cut short, also where that would fail (Python prints no huge numbers).

    >>> print(shown(b"x" * 30_000)[-12:], len(shown("x" * 30_000)))
    xxxxxxxxx... 80
    >>> shown(10**10_000)
    'a number of 33220 bits'
    """
    try:
        text = repr(value)
    except ValueError:
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else object.__repr__(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def number(name: str, value: object, *, least: float, most: float, above: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not isinstance(value, int) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {shown(value)}")
    if value < least or (above and value <= least):
        raise ValueError(
            f"{name} must be {'more than' if above else 'at least'} {least:g}, not {shown(value)}"
        )
    if value > most:
        raise ValueError(f"{name} must be at most {most:g}, not {shown(value)}")


def seconds(name: str, value: object) -> None:
    number(name, value, least=0, most=_LONGEST_SECONDS)


def count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {shown(value)}")
    if value > LARGEST_COUNT:
        raise ValueError(f"{name} must be at most 2**63 - 1, not {shown(value)}")


def probability(name: str, value: object) -> None:
    number(name, value, least=0, most=1)


def direction(value: object) -> None:
    choice("direction", value, ("up", "down", "both"))


def choice(name: str, value: object, choices: Iterable[str]) -> None:
    choices = tuple(choices)
    listed = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {listed}, not {shown(value)}")
    if value not in choices:
        raise ValueError(f"{name} must be {listed}, not {shown(value)}")


def flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
