"""From the first failing run to the schedule that is printed: small, of the same failure, and failing each time.

::

    first failing run --> played again --> shrunk --> rated --> with waits, where it fails by luck --> Smallest

* Only a run that breaks one of the guarantees that the first one broke counts as failing.
* What fails by luck is rated over at least ten plays, and a schedule that failed in all of them is preferred: the
  smallest with a wait more, or one of those that were met on the way (a much larger one only if it hardly ever fails).

It decides what is played next and never plays by itself. If a play does not end, it stops with the best found so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.proof.contract import Run
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import Asked, complexity, shrink
from pytest_netfault.schedules.waits import is_racy, with_waits

__all__ = ["Limits", "Minimizer", "PlayAgain", "Smallest"]

# Plays schedules in a stage, given how many plays of the stage are done and how many there will be, or None. Returns
# None for each play that came to no end.
PlayAgain = Callable[
    [Literal["shrinking", "repeating"], Sequence[Schedule], int, "int | None"], "Sequence[Run | None]"
]

# How often the first failing schedule is played before it is made smaller.
_FIRST_PLAYS = 3
# How often a schedule is played in all, to say how surely it fails, and how often one that looks like a race: what
# fails in 17 of 20 plays fails in ten of ten once in five times.
_PLAYS = 10
_PLAYS_OF_A_RACE = 20
# Of the time that there is, shrinking takes no more than this.
_SHARE_OF_SHRINKING = 0.7
# So many steps more may a schedule have that fails each time, where a smaller one fails more often than not.
_STEPS_FOR_CERTAINTY = 2
# Of the time for rating, so much is left for the one that is chosen.
_SHARE_OF_RATING = 0.4


@dataclass(frozen=True)
class Limits:
    """How long what takes; seconds.

    Attributes:
        shrinking: for making it smaller, if the first schedule failed again.
        unsure: the same, if it did not: few tries will tell.
        rating: for playing what is left again and again, and what may fail more surely.
        until: ``time.monotonic()`` at which all of it must be over.
    """

    shrinking: float
    unsure: float
    rating: float
    until: float = float("inf")


@dataclass(frozen=True)
class Smallest:
    """The schedule that is printed.

    Attributes:
        run: a failing run of it.
        failed: how often it failed.
        plays: out of how many plays.
        tries: how many plays it took to make it small.
    """

    run: Run
    failed: int
    plays: int
    tries: int


@dataclass
class _Record:
    """What became of one schedule so far."""

    plays: int = 0
    failed: int = 0
    run: Run | None = None  # the first that failed; the others say the same

    @property
    def always(self) -> bool:
        return self.failed == self.plays

    @property
    def rate(self) -> float:
        """How surely it fails; few plays say little."""
        return self.failed / max(self.plays, _PLAYS)


class Minimizer:
    """Makes one failing run small; :meth:`smallest` is called once.

    Args:
        first: the run.
        play: plays again.
        asked: what a smaller schedule may have.
        limits: how long it may take.
        width: how many plays are asked for together.
    """

    def __init__(self, first: Run, play: PlayAgain, *, asked: Asked, limits: Limits, width: int = 1) -> None:
        self._first = first.schedule
        self._kept = set(first.broken)
        self._play = play
        self._asked = asked
        self._limits = limits
        self._width = width
        self._stopped = False
        self._records = {first.schedule: _Record(1, 1, first)}

    def smallest(self) -> Smallest:
        began = time.monotonic()
        self._repeat(self._first, _FIRST_PLAYS)
        again = self._records[self._first].failed > 1
        seconds = self._limits.shrinking if again else self._limits.unsure
        stop = min(began + seconds, began + (self._limits.until - began) * _SHARE_OF_SHRINKING)
        found, _ = shrink(
            self._first,
            self._first,
            self._attempt,
            go_on=lambda: self._may_go_on(stop),
            asked=self._asked,
            width=self._width,
        )
        tries = sum(one.plays for one in self._records.values()) - 1
        stop = time.monotonic() + self._limits.rating
        waiting = self._without_a_race(found, stop - self._limits.rating * _SHARE_OF_RATING)
        if waiting is not None:
            found = waiting
        elif not self._always_fails(found, stop):
            found = self._surest(found, stop - self._limits.rating * _SHARE_OF_RATING)
            self._repeat(found, _PLAYS, stop)
        record = self._records[found]
        assert record.run is not None
        return Smallest(record.run, record.failed, record.plays, tries)

    def _may_go_on(self, stop: float = float("inf")) -> bool:
        return not self._stopped and time.monotonic() < min(stop, self._limits.until)

    def _play_all(
        self,
        stage: Literal["shrinking", "repeating"],
        schedules: Sequence[Schedule],
        done: int,
        of: int | None,
    ) -> list[bool]:
        """Play them; for each whether it failed."""
        return [
            self._failed(schedule, run)
            for schedule, run in zip(schedules, self._play(stage, schedules, done, of), strict=True)
        ]

    def _failed(self, schedule: Schedule, run: Run | None) -> bool:
        if run is None:
            self._stopped = True
            return False
        record = self._records.setdefault(schedule, _Record())
        record.plays += 1
        failed = not self._kept.isdisjoint(run.broken)
        if failed:
            record.failed += 1
            record.run = record.run or run
        return failed

    def _repeat(
        self, schedule: Schedule, wanted: int, stop: float = float("inf"), *, always: bool = False
    ) -> None:
        """Play it until it was played so often, or, if it is to fail ``always``, once did not fail."""
        record = self._records.setdefault(schedule, _Record())
        while record.plays < wanted and (record.always or not always) and self._may_go_on(stop):
            again = min(wanted - record.plays, self._width)
            self._play_all("repeating", [schedule] * again, record.plays, wanted)

    def _attempt(self, schedules: Sequence[Schedule]) -> list[Schedule | None]:
        failing = list(schedules)
        # Twice, because what fails by luck leads the search to where only luck fails.
        for _ in range(2):
            if failing:
                done = sum(one.plays for one in self._records.values())
                failed = self._play_all("shrinking", failing, done, None)
                failing = [schedule for schedule, fails in zip(failing, failed, strict=True) if fails]
        return [schedule if schedule in failing else None for schedule in schedules]

    def _always_fails(self, schedule: Schedule, stop: float) -> bool:
        """Play it until it has failed often enough, or once not."""
        self._repeat(schedule, _PLAYS_OF_A_RACE if is_racy(schedule) else _PLAYS, stop, always=True)
        record = self._records[schedule]
        return record.always and record.plays > 1

    def _without_a_race(self, found: Schedule, stop: float) -> Schedule | None:
        """If it is a race, the same with a wait that decides it, if that fails each time: one step more is worth it.

        Steps that seemed to be needed while it failed by luck may not be, now that it waits.
        """
        if not is_racy(found):
            return None

        def fails(candidate: Schedule) -> bool:
            return not is_racy(candidate) and self._surely_fails(candidate, stop)

        def attempt(candidates: Sequence[Schedule]) -> list[Schedule | None]:
            return [candidate if fails(candidate) else None for candidate in candidates]

        sure = next(filter(fails, self._with_waits(found)), None)
        if sure is None:
            return None
        smaller, _ = shrink(sure, sure, attempt, go_on=lambda: self._may_go_on(stop), asked=self._asked)
        return smaller

    def _with_waits(self, found: Schedule) -> Iterator[Schedule]:
        return filter(self._asked.permits, with_waits(found))

    def _surest(self, found: Schedule, stop: float) -> Schedule:
        """The first that fails each time: with waits, or larger; else the one that fails most surely."""
        for schedule in self._others(found):
            if not self._may_go_on(stop):
                break
            if self._surely_fails(schedule, stop):
                return schedule
        failed = {schedule: one for schedule, one in self._records.items() if one.failed}
        return min(failed, key=lambda one: (-round(failed[one].rate, 1), complexity(one)))

    def _surely_fails(self, schedule: Schedule, stop: float) -> bool:
        return self._always_fails(schedule, stop) and self._records[schedule].plays >= _PLAYS

    def _others(self, found: Schedule) -> Iterable[Schedule]:
        # It did not fail each time, and what never failed twice will hardly do better with a wait.
        if self._records[found].failed > 1:
            yield from self._with_waits(found)
        record = self._records[found]
        often = record.failed * 2 > record.plays
        most = len(found) + _STEPS_FOR_CERTAINTY if often else len(self._first)
        met = [one for one, record in self._records.items() if record.always and record.plays > 1]
        yield from sorted((one for one in met if len(one) <= most), key=complexity)
