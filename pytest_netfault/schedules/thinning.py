"""What Hypothesis may leave out of a schedule, and make plainer in it, one step at a time.

A drawn schedule is drawn whole, as a proof run draws it, and then thinned: each of its steps has a few *forms*, the
first of which is nothing and the last of which is the step as it was drawn, and a *level*, a byte, says which one is
taken. A schedule in which every level is high is the one that was drawn; the lower the levels, the less there is of it.
So Hypothesis can delete each step by itself, and whatever is left is a schedule.

>>> from pytest_netfault.faults import Reset, Sever
>>> from pytest_netfault.schedules.steps import Heal
>>> whole = draft_of([Write("a"), Subscribe(), Break(Reset()), Write("b", via="link"), Heal()], Asked((Reset,)))
>>> whole.thinned(bytes([255] * 5))
Schedule([Write('a'), Subscribe(), Break(Reset()), Write('b', via='link'), Heal()])
>>> whole.thinned(bytes([0, 0, 255, 1, 0]))
Schedule([Subscribe(), Break(Reset()), Write('a')])

A schedule in which neither the link nor the server is ever in trouble, or with no put after that which the subscriber
must receive, tests nothing: there is no such one.

>>> whole.thinned(bytes(5)) is None
True
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import TROUBLE, Asked, plainer, weight
from pytest_netfault.schedules.steps import (
    Break,
    Delete,
    Heal,
    Restart,
    Step,
    Subscribe,
    WaitForConnection,
    WaitForEvents,
    Write,
    WriteMany,
)

__all__ = ["Draft", "Drawn", "draft_of", "drawn_from", "puts_after_a_fault"]

# What a step may become: few, because each is a level that leaves less than what was drawn, and a schedule is to be
# played as it was drawn unless it has failed.
_PLAINER = 3
_FAULTS = 4
_MOST_LOOKED_AT = 60

Form = tuple[Step, ...]


@dataclass(frozen=True)
class Draft:
    """A schedule as it was drawn, with the forms of each of its steps.

    Attributes:
        steps: as they were drawn.
        forms: for each step, from nothing to the step itself. ``Subscribe()`` has its place or, at level 0, the first.
    """

    steps: tuple[Step, ...]
    forms: tuple[tuple[Form, ...], ...]

    def thinned(self, levels: Sequence[int]) -> Schedule | None:
        """The schedule with a level for each step; None if that puts nothing to the test."""
        made: list[Step] = []
        for step, forms, level in zip(self.steps, self.forms, levels, strict=True):
            if isinstance(step, Subscribe) and level == 0:
                made.insert(0, step)
            else:
                made += forms[min(level, len(forms) - 1)]
        return Schedule(made) if puts_after_a_fault(made) else None

    def levels_of(self, schedule: Schedule, at_most: Sequence[int]) -> bytes | None:
        """The lowest levels that make this schedule, none of them higher than these; None if there are none."""
        steps = schedule.steps
        if not puts_after_a_fault(steps):
            return None
        moved = isinstance(steps[0], Subscribe)
        found = self._matched(steps[1:], at_most, subscribed=True) if moved else None
        return found or self._matched(steps, at_most, subscribed=False)

    def _matched(self, wanted: tuple[Step, ...], at_most: Sequence[int], *, subscribed: bool) -> bytes | None:
        """Levels that leave just these steps; ``subscribed`` if the subscription was moved to the front of them."""
        # For each step of the draft, from the last one: the places in what is wanted from which the rest can be made,
        # each with the lowest level that does it and the place behind it.
        ways: list[dict[int, tuple[int, int]]] = [{len(wanted): (0, len(wanted))}]
        for step, forms, most in zip(
            reversed(self.steps), reversed(self.forms), reversed(at_most), strict=True
        ):
            options: list[tuple[int, Form]] = list(enumerate(forms[: most + 1]))
            if isinstance(step, Subscribe) and subscribed:
                options = [(0, ())]
            elif isinstance(step, Subscribe):
                options = [(1, (step,))] if most else []
            here: dict[int, tuple[int, int]] = {}
            for behind in ways[-1]:
                for level, form in options:
                    place = behind - len(form)
                    if place >= 0 and wanted[place:behind] == form and here.get(place, (256, 0))[0] > level:
                        here[place] = (level, behind)
            ways.append(here)
        levels, place = bytearray(), 0
        for here in reversed(ways[1:]):
            if place not in here:
                return None
            level, place = here[place]
            levels.append(level)
        return bytes(levels)


@dataclass(frozen=True)
class Drawn:
    """Where a schedule comes from.

    Attributes:
        draft: what was drawn.
        levels: how it was thinned, a byte for each step.
        whole: how much Hypothesis had drawn when it was drawn, if it began with it; None if it did not.
    """

    draft: Draft
    levels: bytes
    whole: int | None = None

    def schedule(self) -> Schedule | None:
        """The schedule, which knows where it comes from; equal to any other of its steps."""
        made = self.draft.thinned(self.levels)
        if made is not None:
            object.__setattr__(made, _ORIGIN, self)
        return made

    def is_left_by(self, other: Drawn) -> bool:
        """Whether the other one is of the same draft, and has at least the level of this one everywhere."""
        same = self.draft.steps == other.draft.steps
        return same and all(mine <= its for mine, its in zip(self.levels, other.levels, strict=True))


_ORIGIN = "_drawn_from"


def drawn_from(schedule: Schedule) -> Drawn | None:
    """Where a schedule comes from that a strategy made; None for any other."""
    origin: Drawn | None = getattr(schedule, _ORIGIN, None)
    return origin


def draft_of(steps: Iterable[Step], asked: Asked) -> Draft:
    """The draft of these steps; a put is added if none of them follows a fault.

    Args:
        steps: at least one of them is a ``Break``, and exactly one ``Subscribe``.
        asked: the faults that a plainer step may use.
    """
    steps = tuple(steps)
    if not puts_after_a_fault(steps):
        steps = (*steps, Write("a"))
    return Draft(steps, tuple(_forms(step, asked) for step in steps))


def puts_after_a_fault(steps: Sequence[Step]) -> bool:
    """Whether something is put that the subscriber must receive, once the link or the server was in trouble.

    A delete of a key that is not there changes nothing, and what is written beside was not subscribed to.
    """
    broken = next((place for place, step in enumerate(steps) if isinstance(step, TROUBLE)), len(steps))
    return any(
        (isinstance(step, Write) and not step.beside) or (isinstance(step, WriteMany) and step.keys)
        for step in steps[broken:]
    )


@functools.lru_cache(maxsize=4096)
def _forms(step: Step, asked: Asked) -> tuple[Form, ...]:
    if isinstance(step, Subscribe):
        return ((step,),)
    simpler = _chosen(step, asked)
    wait: Step | None = None
    if isinstance(step, (Write, WriteMany, Delete)):
        wait = WaitForEvents()
    elif isinstance(step, (Break, Heal, Restart)):
        wait = WaitForConnection()
    forms: list[Form] = [()]
    for one in (*simpler, step):
        forms.append((one,))
        # What fails by luck may need a wait to fail each time: behind the plainest form, or behind the step itself.
        if wait is not None and one in (*simpler[:1], step):
            forms.append((one, wait))
    if len(forms[-1]) > 1:
        forms.append((step,))
    return tuple(forms)


def _chosen(step: Step, asked: Asked) -> list[Step]:
    """Some of the plainer steps: the plainest of all, for a fault the plainest of its class, and what is nearest."""
    all_of_them = sorted(_closure(step, asked), key=_order)
    if not isinstance(step, Break):
        return all_of_them[:1] + all_of_them[1:][-(_PLAINER - 1) :]
    same = [one for one in all_of_them if isinstance(one, Break) and type(one.fault) is type(step.fault)]
    picked = [*all_of_them[:2], *same[:1], *same[-1:]]
    return sorted(dict.fromkeys(picked), key=_order)[:_FAULTS]


def _closure(step: Step, asked: Asked) -> Iterator[Step]:
    seen, todo = {step}, [step]
    while todo and len(seen) < _MOST_LOOKED_AT:
        for one in plainer(todo.pop(0), asked):
            if one not in seen and _order(one) < _order(step):
                seen.add(one)
                todo.append(one)
                yield one


def _order(step: Step) -> tuple[int, int, str]:
    text = repr(step)
    return weight(step), len(text), text
