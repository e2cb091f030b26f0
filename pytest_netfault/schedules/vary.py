"""A schedule that is a little different from one that was played: what a guided search plays next.

Every variation is a valid schedule of what may be drawn (:class:`.FaultMix`). Pure functions of their source of chance,
like the drawing of whole schedules:

>>> import random
>>> from pytest_netfault.faults import Sever
>>> first = Schedule([Subscribe(), Break(Sever()), Write("a"), Heal()])
>>> vary(first, random.Random(1).randrange, FaultMix((Sever,))) != first
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_netfault.faults import Chance, Cut
from pytest_netfault.schedules.generate import (
    FaultMix,
    RandRange,
    draw_break,
    draw_moment,
    draw_scene,
    draw_writes,
)
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import Break, Compact, Heal, Restart, Step, Subscribe, Write

__all__ = ["MOST_STEPS", "splice", "vary"]

# The longest that is drawn has about as many. More make a play longer, and its story harder to read.
MOST_STEPS = 24
_MOST_CHANGES = 3
# How often it is tried to make another schedule out of one.
_TRIES = 20

Steps = list[Step]


def vary(schedule: Schedule, randrange: RandRange, mix: FaultMix, other: Schedule | None = None) -> Schedule:
    """The schedule, its end exchanged for one of the other if there is one, after one to three changes.

    It is itself if none of those that were tried makes a schedule that is worth playing.
    """
    for _ in range(_TRIES):
        steps = list((schedule if other is None else splice(schedule, other, randrange)).steps)
        for _ in range(1 + randrange(_MOST_CHANGES)):
            change = _CHANGES[randrange(len(_CHANGES))]
            steps = change(steps, randrange, mix)
        if steps != list(schedule.steps) and _is_worth_playing(steps):
            return Schedule(steps)
    return schedule


def splice(one: Schedule, other: Schedule, randrange: RandRange) -> Schedule:
    """The beginning of one, up to somewhere behind its subscription, and the end of the other.

    >>> a = Schedule([Subscribe(), Write("a")])
    >>> b = Schedule([Subscribe(), Write("b"), Heal()])
    >>> splice(a, b, lambda n: 0)
    Schedule([Subscribe(), Write('b'), Heal()])
    """
    begin, end = _begin(one.steps), _begin(other.steps)
    cut = begin + randrange(len(one.steps) - begin + 1)
    rest = other.steps[end + randrange(len(other.steps) - end + 1) :]
    return Schedule([*one.steps[:cut], *rest][:MOST_STEPS])


def _begin(steps: Sequence[Step]) -> int:
    """The place behind the subscription."""
    return next(place for place, step in enumerate(steps, start=1) if isinstance(step, Subscribe))


def _is_worth_playing(steps: Steps) -> bool:
    """Whether it is valid, breaks something, and writes something that the subscriber must receive."""
    return (
        len(steps) <= MOST_STEPS
        and sum(isinstance(step, Subscribe) for step in steps) == 1
        and any(isinstance(step, (Break, Restart)) for step in steps)
        and any(isinstance(step, Write) and not step.beside for step in steps)
    )


def _place(steps: Steps, randrange: RandRange) -> int:
    """Somewhere behind the subscription, the end included."""
    begin = _begin(steps)
    return begin + randrange(len(steps) - begin + 1)


def _part(steps: Steps, randrange: RandRange, most: int) -> tuple[int, int]:
    """A few steps in a row behind the subscription; none if there are none."""
    first = _place(steps, randrange)
    return first, min(first + 1 + randrange(most), len(steps))


# -- changes -------------------------------------------------------------------------------------------------


def _insert_break(steps: Steps, randrange: RandRange, mix: FaultMix) -> Steps:
    place = _place(steps, randrange)
    return [*steps[:place], draw_break(randrange, mix), *steps[place:]]


def _insert_moment(steps: Steps, randrange: RandRange, mix: FaultMix) -> Steps:
    place = _place(steps, randrange)
    return [*steps[:place], *draw_moment(randrange, mix), *steps[place:]]


def _insert_writes(steps: Steps, randrange: RandRange, mix: FaultMix) -> Steps:
    place = _place(steps, randrange)
    return [*steps[:place], *draw_writes(randrange, mix), *steps[place:]]


def _insert_other(steps: Steps, randrange: RandRange, mix: FaultMix) -> Steps:
    others: Steps = [Heal()]
    if "compact" in mix.abilities:
        others.append(Compact())
    if "restart" in mix.abilities:
        others.append(Restart())
    place = _place(steps, randrange)
    return [*steps[:place], others[randrange(len(others))], *steps[place:]]


def _insert_scene(steps: Steps, randrange: RandRange, mix: FaultMix) -> Steps:
    place = _place(steps, randrange)
    return [*steps[:place], *draw_scene(randrange, mix), *steps[place:]]


def _delete(steps: Steps, randrange: RandRange, _mix: FaultMix) -> Steps:
    first, last = _part(steps, randrange, 3)
    return steps[:first] + steps[last:]


def _repeat(steps: Steps, randrange: RandRange, _mix: FaultMix) -> Steps:
    first, last = _part(steps, randrange, 6)
    return steps[:last] + steps[first:]


def _move(steps: Steps, randrange: RandRange, _mix: FaultMix) -> Steps:
    first, last = _part(steps, randrange, 1)
    rest = steps[:first] + steps[last:]
    place = _place(rest, randrange)
    return [*rest[:place], *steps[first:last], *rest[place:]]


def _change_fault(steps: Steps, randrange: RandRange, mix: FaultMix) -> Steps:
    """Another fault in the place of one, or the same cut somewhere else."""
    broken = [place for place, step in enumerate(steps) if isinstance(step, Break)]
    if not broken:
        return steps
    place = broken[randrange(len(broken))]
    step = steps[place]
    assert isinstance(step, Break)
    fault = step.fault
    if isinstance(fault, Cut) and fault not in mix.faults and randrange(3):
        changed: Step = step.with_fault(_cut_elsewhere(fault, Chance(randrange, mix.packets)))
    else:
        changed = draw_break(randrange, mix)
    return [*steps[:place], changed, *steps[place + 1 :]]


def _cut_elsewhere(cut: Cut, chance: Chance) -> Cut:
    kind = chance.randrange(4)
    if kind == 0:
        return replace(cut, direction=chance.one([one for one in ("up", "down") if one != cut.direction]))
    if kind == 1:
        return replace(cut, how=chance.one([one for one in ("fin", "rst") if one != cut.how]))
    if cut.after_bytes is None:
        return cut
    if kind == 2:
        return replace(cut, after_bytes=max(0, cut.after_bytes + chance.randrange(65) - 32))
    return replace(cut, after_bytes=chance.one((cut.after_bytes // 2, cut.after_bytes * 2)))


# What changes a place in a schedule is there more often than what adds to its length.
_CHANGES: tuple[Callable[[Steps, RandRange, FaultMix], Steps], ...] = (
    _insert_break,
    _insert_moment,
    _insert_writes,
    _insert_other,
    *[_insert_scene] * 5,
    _delete,
    _delete,
    _delete,
    _repeat,
    _move,
    _change_fault,
    _change_fault,
)
