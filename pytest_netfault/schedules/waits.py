"""Where a schedule may wait, so that what it shows in some plays it shows in each.

The smallest schedule that fails is often a race: ``[Subscribe(), Write('a'), Restart()]`` loses an update only if the
subscriber had got it before the restart. With a wait in the right place it fails in every play.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import TROUBLE
from pytest_netfault.schedules.steps import (
    Break,
    Heal,
    Pause,
    Restart,
    Resume,
    Step,
    Subscribe,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    writes_of,
)

__all__ = ["is_racy", "with_waits"]

_WAITS = (WaitForEvents, WaitForConnection, WaitForBytes)


def is_racy(schedule: Schedule) -> bool:
    """Whether something is broken right behind a write of the subscription, so that both happen at once.

    What is written while something is broken already is no race: the subscriber need not be there to see it.

    >>> from pytest_netfault.schedules.steps import Write
    >>> steps = [Subscribe(), Write("a"), Restart()]
    >>> is_racy(Schedule(steps)), is_racy(Schedule([*steps[:2], WaitForEvents(), *steps[2:]]))
    (True, False)
    """
    subscribed = broken = under_way = False
    for step in schedule:
        subscribed = subscribed or isinstance(step, Subscribe)
        if isinstance(step, TROUBLE) and under_way:
            return True
        if isinstance(step, (Break, Pause)):
            broken = True
        elif isinstance(step, (Heal, Resume)):
            broken = False
        elif writes_of(step):
            under_way = subscribed and not broken
        elif isinstance(step, _WAITS):
            under_way = False
    return False


def with_waits(schedule: Schedule) -> Iterator[Schedule]:
    """The schedule with the trouble ahead of the write, with a wait more, and then with several.

    The places that matter most come first.

    >>> from pytest_netfault.schedules.steps import Write
    >>> print(*list(with_waits(Schedule([Subscribe(), Write("a"), Restart()])))[:2], sep="\\n")
    Schedule([Subscribe(), Restart(), Write('a')])
    Schedule([Subscribe(), Write('a'), WaitForEvents(), Restart()])
    """
    steps = list(schedule.steps)
    start = steps.index(Subscribe())
    broken = [index for index, step in enumerate(steps) if isinstance(step, TROUBLE) and index > start]
    back = [index + 1 for index, step in enumerate(steps) if isinstance(step, (Break, Restart, Heal, Resume))]
    rest = [index for index in range(start + 1, len(steps) + 1) if index not in broken]
    seen = {schedule}
    for index in broken:
        if writes_of(steps[index - 1]):
            turned = Schedule([*steps[: index - 1], steps[index], steps[index - 1], *steps[index + 1 :]])
            if turned not in seen:
                seen.add(turned)
                yield turned
    before: list[tuple[int, Step]] = [(index, WaitForEvents()) for index in broken]
    after: list[tuple[int, Step]] = [(index, WaitForConnection()) for index in back if index > start]
    others: list[tuple[int, Step]] = [(index, WaitForEvents()) for index in rest]
    for places in (*([one] for one in (*before, *after, *others)), before, before + after):
        variant = _inserted(steps, places)
        if variant not in seen:
            seen.add(variant)
            yield variant


def _inserted(steps: list[Step], places: list[tuple[int, Step]]) -> Schedule:
    """The steps with each of these before the step of its index, but where the same wait is there already."""
    waits: dict[int, list[Step]] = {}
    for index, wait in places:
        beside = steps[max(index - 1, 0) : index + 1]
        if wait not in beside:
            waits.setdefault(index, []).append(wait)
    made: list[Step] = []
    for index in range(len(steps) + 1):
        made += [*waits.get(index, ()), *steps[index : index + 1]]
    return Schedule(made)
