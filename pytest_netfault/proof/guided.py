"""A guided search: what was played decides what is played next.

::

    number     0 ...                31 | 32   33   34 ...
    schedule   as the seed draws them  | varied, spliced, or as the seed draws it
    decided                            | by what the plays up to number - 32 have shown

* A play is decided by those that lie a fixed number before it, and by the seed: so plays side by side decide the
  same as one after the other, for every number of lanes.
* What a play has shown (``signals.py``) may depend on the timing of the machine, and so may what is played next.
  A schedule that was found is whole by itself: it is replayed, shrunk and shown like any other.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.signals import signals_of
from pytest_netfault.schedules.corpus import Corpus
from pytest_netfault.schedules.generate import FaultMix, seeded
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.vary import vary

__all__ = ["BEHIND", "Guided"]

#: So many plays are under way, or have ended and decide nothing yet.
BEHIND = 32
# One in so many is as the seed draws it, and one in so many is made of two that were kept.
_FRESH_ONCE_IN = 4
_SPLICED_ONCE_IN = 6


class Guided:
    """The schedules of one search, drawn one by one.

    Args:
        seed: of every choice.
        numbers: of the schedules, in order.
        mix: what may be drawn.
        show: what a run has shown.
        waits: whether a schedule is played when all others have ended; such a one decides nothing.
    """

    def __init__(
        self,
        seed: int,
        numbers: Sequence[int],
        mix: FaultMix,
        *,
        show: Callable[[Run], frozenset[str]] = signals_of,
        waits: Callable[[Schedule], bool] = lambda _: False,
    ) -> None:
        self._seed = seed
        self._numbers = numbers
        self._mix = mix
        self._show = show
        self._waits = waits
        self.corpus: Corpus[Schedule] = Corpus()
        self._shown: dict[Schedule, deque[frozenset[str]]] = {}

    def __iter__(self) -> Iterator[Schedule]:
        drawn: deque[Schedule] = deque()
        for number in self._numbers:
            if len(drawn) >= BEHIND:
                self._take(drawn.popleft())
            schedule = self._next(number)
            if not self._waits(schedule):
                drawn.append(schedule)
            yield schedule

    def learn(self, run: Run) -> None:
        """Take in what a play has shown; called in the order of the schedules."""
        self._shown.setdefault(run.schedule, deque()).append(self._show(run))

    def _take(self, schedule: Schedule) -> None:
        waiting = self._shown.get(schedule)
        if waiting:
            self.corpus.learn(schedule, waiting.popleft())
            if not waiting:
                del self._shown[schedule]

    def _next(self, number: int) -> Schedule:
        randrange = random.Random(f"netfault {self._seed} guided {number}").randrange
        if not len(self.corpus) or randrange(_FRESH_ONCE_IN) == 0:
            return seeded(self._seed, number, self._mix)
        chosen = self.corpus.choose(randrange)
        other = self.corpus.choose(randrange) if randrange(_SPLICED_ONCE_IN) == 0 else None
        return vary(chosen, randrange, self._mix, other)
