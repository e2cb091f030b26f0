r"""Untrusted text, made safe for a terminal, a log or a page of a CI system.

Keys, values, names of links and files, and exceptions of clients are untrusted text. A terminal executes control
characters, a reader is misled by invisible or bidirectional ones, and CI systems execute lines that look like their
commands. All output goes through one of two functions:

``printable``        a text that is to be one line: line breaks are escaped too
``printable_lines``  a text of several lines: tabs and line feeds stay, every line is made safe

What is not printable is written as ``repr()`` writes it. Both functions are idempotent, so that a text may pass through
them more than once. Nothing here raises, whatever it is given.

>>> print(printable("\x1b[2J caf\u00e9\r\n"))
\x1b[2J café\r\n
>>> print(printable_lines("first\n::error::no such thing\n"))
first
\x3a:error::no such thing
<BLANKLINE>
"""

from __future__ import annotations

import json
import re
import traceback
from pathlib import PurePath

__all__ = ["error_words", "json_text", "printable", "printable_lines", "represented"]

# GitHub Actions takes "::name" for a command at the beginning of a line, blanks before it ignored. Its older form
# "##[name]", those of Azure Pipelines and of TeamCity are found anywhere in a line.
_AT_BEGINNING = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
_ANYWHERE = re.compile(r"#(?=#(?:\[|vso\[|teamcity\[))", re.IGNORECASE)


def printable(text: str) -> str:
    r"""A text as one line that is safe to show.

    >>> print(printable("a\nb"), printable("\u202eabc"), printable("::error::x"), printable("##[group]x"))
    a\nb \u202eabc \x3a:error::x \x23#[group]x
    """
    if not text.isprintable():
        text = "".join(one if one.isprintable() else _escaped(one) for one in text)
    return _no_command(text)


def printable_lines(text: str) -> str:
    """A text of several lines, each of them safe to show."""
    if not text.isprintable():
        text = "".join(one if one in "\n\t" or one.isprintable() else _escaped(one) for one in text)
    return _no_command(text)


def json_text(value: object, *, indent: int | None = None) -> str:
    r"""A value as JSON in ASCII that is safe to show; parsing it gives the value.

    >>> print(json_text(["##[error]\x7f"]))
    ["\u0023#[error]\u007f"]
    """
    text = json.dumps(value, indent=indent).replace("\x7f", "\\u007f")
    return _ANYWHERE.sub(r"\\u0023", text)


def represented(value: object, *, limit: int = 200) -> str:
    """``repr(value)`` as one line of at most ``limit`` characters, also of a value whose ``repr`` fails.

    >>> represented(10**5_000)
    '<int whose repr raises ValueError>'
    """
    try:
        text = printable(repr(value))
    except Exception as error:  # also RecursionError and MemoryError: a message must not fail for its subject
        text = f"<{printable(type(value).__name__)} whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def error_words(error: BaseException, *, place: bool = False) -> str:
    """What was raised, in one line: its class and what it says.

    Args:
        error: any exception, also one that cannot say what it is.
        place: whether to add the file and the line that raised it.

    >>> error_words(ValueError("no such\\nkey")), error_words(KeyboardInterrupt())
    ('ValueError: no such key', 'KeyboardInterrupt')
    """
    try:
        said = " ".join(str(error).split())
    except Exception as failure:
        said = f"its str() raises {type(failure).__name__}"
    words = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if place:
        frames = traceback.extract_tb(error.__traceback__)
        words += f" ({PurePath(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return printable(words)


def _escaped(one: str) -> str:
    return repr(one)[1:-1]


def _no_command(text: str) -> str:
    if "::" in text:
        text = _AT_BEGINNING.sub(r"\1\\x3a", text)
    return _ANYWHERE.sub(r"\\x23", text) if "##" in text else text
