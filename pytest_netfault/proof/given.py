"""A search by Hypothesis that has found a loss: we make it small, once, and lead Hypothesis to where that ended.

Hypothesis shrinks whatever it draws by hundreds of tries, most of which fail, and a play that loses takes ``settle``
seconds. The kit knows what schedules are made of and needs some twenty plays, side by side. So:

* the first loss of a search is made small as in any proof, among what can be left of the drawn schedule
  (``schedules/thinning.py``), and what is raised tells of the smallest;
* while Hypothesis shrinks after that, nothing is played. An input that leaves at least as much as the smallest one
  fails, any other is rejected: that leads to the smallest one, which was played, and which Hypothesis prints and saves.

This holds only for a test that draws one schedule with ``schedules()`` and nothing else: the verdict of another may
depend on what else it draws. Whatever of Hypothesis is not as expected here means that inputs are played one by one.
"""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass
from types import FrameType
from typing import Any

from pytest_netfault.proof.property_tests import in_property_test
from pytest_netfault.proof.results import Lost, UpdateLost
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import Asked
from pytest_netfault.schedules.thinning import Drawn, drawn_from

__all__ = ["Input", "input_of"]

# What a search is about: the client, the server, and how it is judged.
About = tuple[Any, ...]
# The execution of one test with @given, and its engine, by the names of their classes in Hypothesis.
_EXECUTION, _ENGINE = "StateForActualGivenExecution", "ConjectureRunner"
# Where the engine has the failures that it knows, by their origins; the second name is the older one.
_FAILURES = ("interesting_test_cases", "interesting_examples")


@dataclass(frozen=True)
class _Found:
    about: About
    lost: Lost
    smallest: Drawn


_FOUND: weakref.WeakKeyDictionary[Any, _Found] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Input:
    """An input of a property test that is one drawn schedule.

    Attributes:
        drawn: where it comes from.
        execution: of the test.
        engine: which draws and shrinks; None when Hypothesis repeats in the end what it reports.
    """

    drawn: Drawn
    execution: Any
    engine: Any

    @property
    def asked(self) -> Asked | None:
        """What a smaller schedule may have, if this one is the first that is lost; None if it is not made smaller."""
        from hypothesis import Phase, settings

        phases = settings.default.phases  # type: ignore[union-attr, unused-ignore]
        if self.engine is None or self.execution in _FOUND or Phase.shrink not in phases:
            return None
        return Asked(possible=lambda schedule: self._left(schedule) is not None)

    def known(self, about: About) -> Lost | None:
        """The loss that is known of this search, if this input leads to it; None if it is to be played.

        Raises:
            UnsatisfiedAssumption: Hypothesis shrinks, and this input leads elsewhere.
        """
        found = _FOUND.get(self.execution)
        if found is None or not _same(found.about, about):
            return None
        if found.smallest.is_left_by(self.drawn):
            return found.lost
        if self.engine is not None and _has_a_loss(self.engine):
            from hypothesis import reject

            reject()
        return None

    def learn(self, about: About, lost: UpdateLost) -> None:
        """Take in the first loss of a search: where it fails by luck only, Hypothesis reports it nevertheless."""
        smallest = self._left(lost.schedule)
        if self.engine is not None and self.execution not in _FOUND and smallest is not None:
            _FOUND[self.execution] = _Found(about, Lost.of(lost), smallest)

    def _left(self, schedule: Schedule) -> Drawn | None:
        """The schedule as what is left of this one."""
        levels = self.drawn.draft.levels_of(schedule, self.drawn.levels)
        return None if levels is None else Drawn(self.drawn.draft, levels)


def input_of(schedule: Schedule) -> Input | None:
    """The input of the property test around the caller, if that is this schedule and nothing else."""
    drawn = drawn_from(schedule)
    if drawn is None or not in_property_test():
        return None
    from pytest_netfault.schedules.strategies import drawn_so_far

    if drawn.whole is None or drawn_so_far() != drawn.whole:
        return None
    execution, engine = _around()
    return None if execution is None else Input(drawn, execution, engine)


def _around() -> tuple[Any, Any]:
    """The execution of the property test that called us, and its engine, if that is what tries the input."""
    execution: Any = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("hypothesis."):
            owner = frame.f_locals.get("self")
            kind = type(owner).__name__
            if kind == _EXECUTION:
                execution = execution or owner
                if frame.f_code.co_name == "run_engine":
                    break
            elif kind == _ENGINE and execution is not None:
                return execution, owner
        frame = frame.f_back
    return execution, None


def _has_a_loss(engine: Any) -> bool:
    # A loss that the test has caught is none to Hypothesis.
    origins = next(filter(None, (getattr(engine, name, None) for name in _FAILURES)), ())
    return any(getattr(origin, "exc_type", None) is UpdateLost for origin in origins)


def _same(one: About, other: About) -> bool:
    return len(one) == len(other) and all(
        mine is its or mine == its for mine, its in zip(one, other, strict=True)
    )
