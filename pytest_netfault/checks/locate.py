"""In which line of a JSON text a member stands.

The decoder of the standard library forgets where things were. Errors are rare and files are long, so that the text is
walked again, once, and only along the path to the damaged member.

The text must be valid JSON. A path that leads nowhere gives the line of the last member that exists.

>>> text = '{"cases": [{"id": "a"},\\n  {"id":\\n  7}]}'
>>> line_of(text, ("cases", 0)), line_of(text, ("cases", 1)), line_of(text, ("cases", 1, "id"))
(1, 2, 3)
"""

from __future__ import annotations

import json

from pytest_netfault.checks.reading import Path

__all__ = ["line_of"]

_DECODER = json.JSONDecoder()
_SPACE = " \t\n\r"


def line_of(text: str, path: Path) -> int:
    """The line, counted from 1, where the value at this path begins."""
    at = _skip(text, 0)
    for name in path:
        inner = (
            _member(text, at, name) if text[at] == "{" else _item(text, at, name) if text[at] == "[" else None
        )
        if inner is None:
            break
        at = inner
    return text.count("\n", 0, at) + 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _member(text: str, at: int, name: str | int) -> int | None:
    """Where the value of this member of the object begins. Of doubles the last one counts, as for the decoder."""
    found = None
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == name:
            found = at
        _, at = _DECODER.raw_decode(text, at)
        at = _after_comma(text, at)
    return found


def _item(text: str, at: int, index: str | int) -> int | None:
    at = _skip(text, at + 1)
    number = 0
    while text[at] != "]":
        if number == index:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _after_comma(text, at)
        number += 1
    return None


def _after_comma(text: str, at: int) -> int:
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at
