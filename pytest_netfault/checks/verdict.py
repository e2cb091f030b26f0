"""The interface of every verdict, whatever was judged: a trace, a history, acknowledgements, or a file that is damaged.

The command line and the proof use a verdict through these three members alone, so that a new kind of verdict is shown,
written as JSON and counted without a change to either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

__all__ = ["Verdict", "VerdictName", "abridged"]

#: The words of every verdict: in JSON, in JUnit files, in summaries and on a terminal. The first three are results of
#: judging. A proof may also be ``unfinished``: Ctrl-C, a timeout, or what a client raised ended it. A file may be
#: damaged (``unreadable``), or hold nothing that could be judged (``skipped``).
VerdictName = Literal["kept", "broken", "inconclusive", "unfinished", "unreadable", "skipped"]


class Verdict(Protocol):
    """The result of judging one thing."""

    @property
    def verdict(self) -> VerdictName:
        """The result in one word; ``"inconclusive"`` is never to be taken for ``"kept"``."""

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain objects, ready for ``json.dumps``: ``verdict``, and what is particular to its kind."""

    def lines(self) -> list[str]:
        """The verdict for people: one line that begins with ``verdict``, then an indented one for each detail."""


def abridged(words: Sequence[str], most: int) -> str:
    """The first of several, separated by commas, and how many more there are.

    >>> abridged(["a", "b", "c"], 2), abridged(["a"], 2)
    ('a, b; and 1 more', 'a')
    """
    more = len(words) - most
    return ", ".join(words[:most]) + (f"; and {more:,} more" if more > 0 else "")
