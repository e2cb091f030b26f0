"""Schedules that have shown something new, and which of them is varied next.

What a play shows is a set of signals (texts; ``proof/signals.py`` has them). A schedule is kept if one of its signals
is new, and the rarer what it has shown, the more often it is varied. Pure but for what it remembers: the same
schedules with the same signals, in the same order, and the same source of chance make the same choices.

>>> corpus = Corpus()
>>> corpus.learn("one", {"a", "b"}), corpus.learn("two", {"a"}), corpus.learn("three", {"a", "c"})
(True, False, True)
>>> len(corpus), corpus.choose(lambda n: 0)
(2, 'one')
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pytest_netfault.schedules.generate import RandRange

__all__ = ["Corpus"]

T = TypeVar("T")
# The choice is made between so many, and falls on the one that has shown the rarest signal.
_COMPARED = 6


@dataclass
class _Kept(Generic[T]):
    item: T
    signals: frozenset[str]
    varied: int = 0


class Corpus(Generic[T]):
    """What was kept of a search so far."""

    def __init__(self) -> None:
        self._kept: list[_Kept[T]] = []
        self._seen: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def signals(self) -> int:
        """How many different signals were seen."""
        return len(self._seen)

    def learn(self, item: T, signals: Iterable[str]) -> bool:
        """Take in what a play has shown; return whether its schedule is kept."""
        shown = frozenset(signals)
        new = any(signal not in self._seen for signal in shown)
        self._seen.update(shown)
        if new:
            self._kept.append(_Kept(item, shown))
        return new

    def choose(self, randrange: RandRange) -> T:
        """What to vary next.

        Raises:
            ValueError: nothing was kept so far.
        """
        if not self._kept:
            raise ValueError("nothing was kept so far")
        few = [self._kept[randrange(len(self._kept))] for _ in range(_COMPARED)]
        best = min(few, key=lambda one: self._rarest(one) * (1 + one.varied))
        best.varied += 1
        return best.item

    def _rarest(self, one: _Kept[T]) -> int:
        return min(self._seen[signal] for signal in one.signals)
