"""Reading the members of a decoded JSON document, and saying exactly which one is wrong.

Every format of this package is read by hand from plain ``dict`` and ``list`` objects. What is wrong is raised as
:class:`FormatError`, which knows the *path* of the damaged member (``("cases", 3, "log", 0, "revision")``). The
path is enough to find the line in the text afterwards (``locate.py``), so that the decoder of the standard
library, which forgets positions, is good enough.

There is one reader for each kind of member. A bool is never a number. Unknown members are ignored, so that a newer
writer can add to a file that an older checker still judges.

>>> integer({"revision": "7"}, "revision", ("log", 0))
Traceback (most recent call last):
    ...
pytest_netfault.checks.reading.FormatError: log[0].revision must be a whole number, not "7"
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard, get_args

from pytest_netfault.common.printable import represented

__all__ = [
    "NESTED",
    "OUTCOMES",
    "FormatError",
    "Outcome",
    "Path",
    "boolean",
    "decode",
    "finite",
    "integer",
    "integer_or_none",
    "items",
    "location",
    "member",
    "members",
    "outcome",
    "quoted",
    "seconds_or_none",
    "string",
    "text_or_none",
    "wrong",
]

Path = tuple[str | int, ...]

#: How an operation ended: it was acknowledged, it certainly did not happen, or its outcome is unknown.
Outcome = Literal["ok", "fail", "info"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# What a depth is that Python cannot follow: nothing that a program records.
NESTED = "not readable: nested too deeply"

# A value quoted in a message is cut here: one clear line is the promise.
_LONGEST_QUOTE = 60


class FormatError(ValueError):
    """A file, or the object decoded from it, is not what its format says.

    Attributes:
        path: the members and indexes that lead to what is wrong; empty for the document as a whole.
        line: its line, counted from 1, where that is known.
        reason: the sentence without the place.
    """

    def __init__(self, reason: str, path: Path = (), line: int | None = None) -> None:
        self.reason = reason
        self.path = path
        self.line = line
        super().__init__(reason)

    def at_line(self, line: int) -> FormatError:
        """The same complaint, with its line."""
        return type(self)(self.reason, self.path, line)


def decode(text: str) -> Any:
    """The JSON document in a text.

    Raises:
        FormatError: it is none; with the line where it stops being one.
    """

    def refuse(name: str) -> None:
        found = re.search(rf"(?<![\w\"-]){name}(?!\w)", text)
        raise FormatError(f"not JSON: {name} is not a value", line=_line(text, found.start() if found else 0))

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg} (column {error.colno})", line=error.lineno) from None
    except RecursionError:
        raise FormatError(NESTED, line=1) from None
    except FormatError:
        raise
    except ValueError as error:
        # A number of thousands of digits, which Python refuses to convert.
        found = re.search(r"\d{4300}", text)
        reason = str(error).split(";", 1)[0]
        raise FormatError(
            f"not readable: {reason}", line=_line(text, found.start() if found else 0)
        ) from None


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def quoted(value: object) -> str:
    """A value as JSON, shortened to fit into a message."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "something that is nested too deeply"
    except (TypeError, ValueError):
        text = represented(value)
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."


def finite(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number that a float can hold, and no bool.

    >>> finite(7), finite(True), finite(10**400), finite(float("nan"))
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def location(path: Path) -> str:
    """A path as a reader would write it.

    >>> location(("cases", 3, "log", 0, "revision"))
    'cases[3].log[0].revision'
    """
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f".{step}" if words else step
    return words or "the document"


def wrong(path: Path, expected: str, value: object) -> FormatError:
    """The error for a member that is not what it should be."""
    return FormatError(f"{location(path)} must be {expected}, not {quoted(value)}", path)


def member(of: Mapping[str, Any], name: str, path: Path) -> Any:
    """A member that must be there, whatever it is."""
    try:
        return of[name]
    except KeyError:
        raise FormatError(f"{location(path)} has no {quoted(name)}", path) from None


def members(value: object, path: Path) -> dict[str, Any]:
    """The value as an object."""
    if not isinstance(value, dict):
        raise wrong(path, "an object", value)
    return value


def items(of: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    """A member that is a list."""
    value = member(of, name, path)
    if not isinstance(value, list):
        raise wrong((*path, name), "a list", value)
    return value


def integer(of: Mapping[str, Any], name: str, path: Path) -> int:
    """A member that is a whole number."""
    value = member(of, name, path)
    if type(value) is not int:
        raise wrong((*path, name), "a whole number", value)
    return value


def boolean(of: Mapping[str, Any], name: str, path: Path) -> bool:
    """A member that is true or false."""
    value = member(of, name, path)
    if not isinstance(value, bool):
        raise wrong((*path, name), "true or false", value)
    return value


def string(of: Mapping[str, Any], name: str, path: Path) -> str:
    """A member that is a string."""
    value = member(of, name, path)
    if not isinstance(value, str):
        raise wrong((*path, name), "a string", value)
    return value


def text_or_none(of: Mapping[str, Any], name: str, path: Path) -> str | None:
    """A member that is a string, null or absent."""
    value = of.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong((*path, name), "a string or null", value)
    return value


def integer_or_none(of: Mapping[str, Any], name: str, path: Path) -> int | None:
    """A member that is a whole number, null or absent."""
    return None if of.get(name) is None else integer(of, name, path)


def seconds_or_none(of: Mapping[str, Any], name: str, path: Path) -> float | None:
    """A member that is a finite number of seconds, null or absent."""
    value = of.get(name)
    if value is not None and not finite(value):
        raise wrong((*path, name), "a finite number of seconds or null", value)
    return None if value is None else float(value)


def outcome(of: Mapping[str, Any], path: Path) -> Outcome:
    """The member ``outcome`` of a write."""
    value = string(of, "outcome", path)
    if value not in OUTCOMES:
        raise wrong((*path, "outcome"), '"ok", "fail" or "info"', value)
    return value
