"""From a schedule that loses an update to a small one that does.

Hypothesis could shrink too, but what fails here may depend on timing, and each try costs real seconds on real
sockets. So this search knows what a schedule is: it tries the bold simplifications first, goes on from whatever
failed again, never tries one twice, and stops when its time is up with the best that it has.

A smaller schedule uses no fault that was not asked for (:class:`Asked`), and may do without any: what fails on a whole
network as well is reported without a fault. Which failures count as the same is for the caller to say.

Which schedules are tried is decided by pure functions; only :func:`shrink` calls out. Every
candidate is strictly simpler than what it comes from, so that the search ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pytest_netfault.faults import Cut, CutHow, Direction, Fault, Reset, Sever
from pytest_netfault.faults.limiting import simpler_forms
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Compact,
    Delete,
    Heal,
    Pause,
    Restart,
    Resume,
    Step,
    Subscribe,
    WaitForBytes,
    WaitForEvents,
    Write,
    WriteMany,
    writes_of,
)

__all__ = ["ANYTHING", "TROUBLE", "Asked", "candidates", "complexity", "plainer", "shrink", "weight"]

T = TypeVar("T")
_PLAINEST = (Sever(), Reset())
TROUBLE = (Break, Restart, Pause, Compact)


@dataclass(frozen=True)
class Asked:
    """The faults that were asked for, and so those that a smaller schedule may use.

    Attributes:
        faults: classes, of which any is one that was asked for, and faults, which are themselves and nothing else; None
            for every fault.
        how: the ways to end in which a cut may end.
        direction: the direction that a cut must have; "both" for any.
        possible: says of a whole schedule whether it may be tried; None if all may.

    >>> from pytest_netfault.faults import Blackhole, Delay
    >>> Asked((Blackhole(on_heal="reset"), Delay)).allows(Blackhole())
    False
    >>> Asked((Blackhole(on_heal="reset"), Delay)).allows(Delay(1))
    True
    """

    faults: tuple[type[Fault] | Fault, ...] | None = None
    how: tuple[CutHow, ...] = ("fin", "rst", "blackhole")
    direction: Direction = "both"
    possible: Callable[[Schedule], bool] | None = None

    def allows(self, fault: Fault) -> bool:
        if isinstance(fault, Cut) and (
            fault.how not in self.how or self.direction not in ("both", fault.direction)
        ):
            return False
        return self.faults is None or type(fault) in self.faults or fault in self.faults

    def permits(self, schedule: Schedule) -> bool:
        return self.possible is None or self.possible(schedule)


ANYTHING = Asked()


def complexity(schedule: Schedule) -> tuple[int, int, int, str]:
    """What makes one schedule simpler than another: fewer steps, then plainer ones."""
    text = repr(schedule)
    plain = sum(weight(step) for step in schedule.steps)
    return len(schedule), plain, len(text), text


def weight(step: Step) -> int:
    """How much of a step there is to understand; the plainest have none."""
    if isinstance(step, Break):
        return step.fault.complexity() + step.in_recovery
    if isinstance(step, Write):
        return (step.via == "link") + step.repeat + step.beside + (step.key != "a")
    if isinstance(step, WriteMany):
        return 3 + len(writes_of(step)) + (step.via == "link")
    if isinstance(step, Delete):
        return 1 + (step.via == "link") + (step.key != "a")
    return 0


def candidates(schedule: Schedule, asked: Asked = ANYTHING) -> Iterator[Schedule]:
    """Simpler schedules, the boldest first.

    Each keeps a write that the subscriber is expected to receive, if there was one: what is left shall tell a story.
    """
    seen = {schedule}
    least = complexity(schedule)
    for steps in _simpler(list(schedule.steps), asked):
        if sum(isinstance(step, Subscribe) for step in steps) != 1:
            continue
        candidate = Schedule(steps)
        if candidate in seen or complexity(candidate) >= least or not _tells(candidate, schedule):
            continue
        seen.add(candidate)
        if asked.permits(candidate):
            yield candidate


def _tells(candidate: Schedule, original: Schedule) -> bool:
    return _writes_something(candidate) or not _writes_something(original)


def _writes_something(schedule: Schedule) -> bool:
    """Whether something is written that the subscriber is expected to receive, while there is a subscription."""
    place = next(index for index, step in enumerate(schedule) if isinstance(step, Subscribe))
    return any(_is_expected(step) for step in schedule.steps[place:])


def _is_expected(step: Step) -> bool:
    """Whether the subscriber is expected to receive what this step writes."""
    return bool(writes_of(step)) and not getattr(step, "beside", False)


def _simpler(steps: list[Step], asked: Asked) -> Iterator[list[Step]]:
    yield [step for step in steps if not isinstance(step, (*TROUBLE, Heal, Resume))]
    yield from _skeletons(steps, asked)
    size = len(steps) // 2
    while size:
        # From the end: what came after the loss is what is surely not needed for it.
        for start in range(len(steps) - size, -1, -1):
            yield steps[:start] + steps[start + size :]
        size //= 2
    for index, step in enumerate(steps):
        for simpler in plainer(step, asked):
            yield [*steps[:index], simpler, *steps[index + 1 :]]


def _skeletons(steps: list[Step], asked: Asked) -> Iterator[list[Step]]:
    """One trouble and the write after it, or the writes around it: most losses are as simple as that."""
    place = next(index for index, step in enumerate(steps) if isinstance(step, Subscribe))
    for index, step in enumerate(steps):
        if isinstance(step, Break):
            after = next((one for one in steps[index + 1 :] if _is_expected(one)), None)
            before = next((one for one in steps[:index] if _is_expected(one)), None)
            if after is not None and index > place:
                yield [Subscribe(), step, after]
                if before is not None:
                    yield [Subscribe(), before, step, after]
                    yield [Subscribe(), before, WaitForEvents(), step, after]
                # A fault that comes into effect after some bytes needs to be waited for, before the end heals it.
                waits = (one for one in steps[index + 1 :] if isinstance(one, (WaitForEvents, WaitForBytes)))
                wait = next(waits, None)
                if wait is not None:
                    for nearer in (step, *_nearer(step, asked)):
                        yield [Subscribe(), nearer, after, wait]


def _nearer(step: Break, asked: Asked) -> Iterator[Break]:
    """The same fault, taking effect sooner."""
    for nearer in step.fault.sooner():
        if asked.allows(nearer):
            yield step.with_fault(nearer)


def plainer(step: Step, asked: Asked) -> Iterator[Step]:
    """Plainer steps in place of this one, with faults that were asked for."""
    if isinstance(step, Write):
        yield Write("a", via=step.via, repeat=step.repeat, beside=step.beside)
        yield Write(step.key, repeat=step.repeat, beside=step.beside)
        yield Write(step.key, via=step.via, beside=step.beside)
        yield Write(step.key, via=step.via, repeat=step.repeat)
    elif isinstance(step, WriteMany):
        for key in step.keys:
            yield Write(key, via=step.via)
        for key in step.deletes:
            yield Delete(key, via=step.via)
        yield WriteMany(step.keys, step.deletes)
        if len(writes_of(step)) > 2:
            for key in writes_of(step):
                yield WriteMany(
                    tuple(one for one in step.keys if one != key),
                    tuple(one for one in step.deletes if one != key),
                    via=step.via,
                )
    elif isinstance(step, Delete):
        yield Write(step.key, via=step.via)
        yield Delete("a", via=step.via)
        yield Delete(step.key)
    elif isinstance(step, WaitForEvents) and step.events is not None:
        yield WaitForEvents()
    elif isinstance(step, WaitForBytes) and step.count > 1:
        yield WaitForBytes(1, step.direction)
        yield WaitForBytes(step.count // 2, step.direction)
    elif isinstance(step, Break):
        if step.lasting:
            yield replace(step, lasting=False)
        for fault in _plainer_faults(step.fault, asked):
            if asked.allows(fault):
                yield step.with_fault(fault)


def _plainer_faults(fault: Fault, asked: Asked) -> Iterator[Fault]:
    if fault.complexity() > _PLAINEST[0].complexity():
        yield from _PLAINEST
    yield from (one for one in asked.faults or () if isinstance(one, Fault))
    yield from simpler_forms(fault)


def shrink(
    schedule: Schedule,
    result: T,
    attempt: Callable[[Sequence[Schedule]], Sequence[T | None]],
    *,
    go_on: Callable[[], bool],
    asked: Asked = ANYTHING,
    width: int = 1,
) -> tuple[Schedule, T]:
    """The simplest schedule found that still fails, with the result of its failing run.

    Of the candidates that are tried together the first that fails is gone on from, so that the width makes it quicker
    and leads nowhere else.

    Args:
        schedule: one that failed.
        result: the result of that run.
        attempt: plays schedules and returns for each a result if it failed, None if not.
        go_on: asked before each attempt; False ends the search.
        asked: the faults that a smaller schedule may use.
        width: how many are tried together.
    """
    known: dict[Schedule, T | None] = {schedule: None}
    progress = True
    while progress:
        progress = False
        simpler = (one for one in candidates(schedule, asked) if known.get(one, result) is not None)
        while batch := list(itertools.islice(simpler, width)):
            new = [one for one in batch if one not in known]
            if new:
                if not go_on():
                    return schedule, result
                known.update(zip(new, attempt(new), strict=True))
            for candidate in batch:
                failed = known[candidate]
                if failed is not None:
                    schedule, result, progress = candidate, failed, True
                    break
            if progress:
                break
    return schedule, result
