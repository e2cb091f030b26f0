"""Colours for the story of a failure in a terminal.

A pure function from text to text. Whether there are colours is decided where the text is written: by pytest itself for
what it shows (``--color``, ``NO_COLOR`` and the rest), else by :func:`wanted`. What goes into files, JUnit reports and
logs has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["coloured", "plain", "wanted"]

_STYLES = {"lost": "1;31", "bad": "31", "fault": "33", "good": "32", "note": "36", "bold": "1"}

# The first that fits a place wins.
_RULES = (
    ("lost", r"^(?:\w+: )?(?:An update was lost|\d+ updates were lost)\b.*$"),
    ("lost", r"^(?:\w+: )?(?:The subscriber|What the subscriber|What a writer)\b.*$"),
    ("lost", r"\bNEVER ARRIVED\b|\bX \d+ never arrived\b|(?<= )X(?= |$|:)"),
    ("bad", r"^Broken: .*$|^the proxy crashed:$"),
    ("bad", r"\b(?:upstream_failed|tls_failed|trouble)\b.*$"),
    ("fault", r"(?<=s )\S+ (?:#\d+ )?(?:fault|hit|heal)\b.*$"),
    ("fault", r"(?<=s )\S+ #\d+ (?:fin|rst) by [A-Z]\w*\(.*$"),
    ("note", r"(?<=s )\S+ note\b.*$"),
    ("fault", r"\bcut (?:connection )?#\d+[^;\n]*|#{2,}"),
    ("good", r"^kept: .*$"),
    ("bold", r"(?<=to run it again: ).*$|^(?:picture|more in|Trace|Picture)\b.*$"),
)
_PATTERN = re.compile("|".join(f"(?P<r{n}>{pattern})" for n, (_, pattern) in enumerate(_RULES)), re.MULTILINE)
_CODE = re.compile(r"\x1b\[[\d;]*m")


def coloured(text: str) -> str:
    """The text with the codes of a terminal's colours.

    >>> coloured("Broken: reliable")
    '\\x1b[31mBroken: reliable\\x1b[0m'
    >>> coloured("seed 7")
    'seed 7'
    """
    return _PATTERN.sub(_styled, text)


def plain(text: str) -> str:
    """The text without such codes.

    >>> plain(coloured("kept: nothing lost"))
    'kept: nothing lost'
    """
    return _CODE.sub("", text)


def wanted(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether a command writes colours, by the variables that pytest knows too.

    Args:
        environment: the variables.
        terminal: whether the output is one.

    >>> wanted({}, terminal=True), wanted({}, terminal=False), wanted({"NO_COLOR": "1"}, terminal=True)
    (True, False, False)
    """
    if (chosen := environment.get("PY_COLORS")) in ("0", "1"):
        return chosen == "1"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return terminal and environment.get("TERM") != "dumb"


def _styled(found: re.Match[str]) -> str:
    assert found.lastgroup is not None
    style, _ = _RULES[int(found.lastgroup[1:])]
    return f"\x1b[{_STYLES[style]}m{found[0]}\x1b[0m"
