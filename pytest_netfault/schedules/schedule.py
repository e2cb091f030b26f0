"""A schedule: what is done to a store, its link and its server, in order, as one value.

A schedule is made whole before it is played. It prints as the expression that makes it again, so that a failing one
can be pasted into a test, and it goes to JSON and back, so that it can be kept beside its trace.

>>> from pytest_netfault.schedules import Break, Sever, Subscribe, Write
>>> schedule = Schedule([Subscribe(), Break(Sever()), Write("a")])
>>> schedule
Schedule([Subscribe(), Break(Sever()), Write('a')])
>>> Schedule.from_json(schedule.to_json()) == schedule
True
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pytest_netfault.schedules.steps import (
    Break,
    Step,
    Subscribe,
    step_from_json,
    step_to_json,
    writes_of,
)

__all__ = ["Schedule", "imports_for", "wrapped"]


@dataclass(frozen=True, init=False, repr=False)
class Schedule:
    """Steps that are played strictly in order; exactly one of them is ``Subscribe()``.

    Raises:
        TypeError: something in it is not a step.
        ValueError: it subscribes never or more than once.

    >>> Schedule([])
    Traceback (most recent call last):
        ...
    ValueError: a schedule has exactly one Subscribe(), not 0
    """

    steps: tuple[Step, ...]

    def __init__(self, steps: Iterable[Step]) -> None:
        steps = tuple(steps)
        for step in steps:
            if not isinstance(step, Step):
                raise TypeError(f"a schedule is made of steps such as Write('a'), not {step!r}")
        subscriptions = sum(isinstance(step, Subscribe) for step in steps)
        if subscriptions != 1:
            raise ValueError(f"a schedule has exactly one Subscribe(), not {subscriptions}")
        object.__setattr__(self, "steps", steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Schedule([{', '.join(map(repr, self.steps))}])"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython, and for Hypothesis when it prints a failing input: the expression, and no other."""
        printer.text(repr(self))

    @property
    def writes(self) -> int:
        """How many steps change something below the name space that is subscribed to."""
        return sum(bool(writes_of(step)) and not getattr(step, "beside", False) for step in self.steps)

    @property
    def faults(self) -> int:
        """How many faults it brings into force."""
        return sum(isinstance(step, Break) for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """The schedule as plain objects, ready for ``json.dumps``."""
        return {"steps": [step_to_json(step) for step in self.steps]}

    @classmethod
    def from_json(cls, data: object, *, missing_ok: bool = False) -> Schedule:
        """The schedule that :meth:`to_json` wrote.

        Args:
            data: a JSON object.
            missing_ok: read custom faults whose class is not in this process, too; such a schedule can be shown, and
                not be played.

        Raises:
            ValueError: it is not one; the message names the step by its place, counted from 1.
        """
        if not isinstance(data, dict) or not isinstance(data.get("steps"), list):
            raise ValueError(f'a schedule must be a JSON object with "steps", not {data!r:.200}')
        return cls(_read(place, step, missing_ok) for place, step in enumerate(data["steps"], start=1))


def _read(place: int, step: object, missing_ok: bool) -> Step:
    try:
        return step_from_json(step, missing_ok=missing_ok)
    except ValueError as error:
        raise ValueError(f"step {place}: {error}") from error


def imports_for(schedule: Schedule, *also: str, width: int = 88, packed: bool = False) -> str:
    """The import statements that the schedule's expression needs, in the order in which linters want them.

    Args:
        schedule: what is printed below them.
        also: further names of ``pytest_netfault``.
        width: a statement that is longer is put in brackets.
        packed: in brackets, as many names in a line as fit, not one, where a screen matters more than a formatter.

    >>> from pytest_netfault.schedules import Sever
    >>> print(imports_for(Schedule([Subscribe(), Break(Sever())]), "verify"))
    from pytest_netfault import Break, Schedule, Sever, Subscribe, verify
    """
    homes = dict.fromkeys(("Schedule", *also), "pytest_netfault")
    for step in schedule.steps:
        homes[type(step).__name__] = "pytest_netfault"
        if isinstance(step, Break):
            kind = type(step.fault)
            ours = kind.__module__.partition(".")[0] == "pytest_netfault"
            homes[kind.__name__] = "pytest_netfault" if ours else kind.__module__
            if step.fault.counts_frames_of() is not None:
                homes["Frame"] = "pytest_netfault"
    return "\n".join(
        _import_from(home, [name for name in homes if homes[name] == home], width, packed=packed)
        for home in dict.fromkeys(homes.values())
    )


def _import_from(home: str, names: list[str], width: int, *, packed: bool) -> str:
    names = sorted(names, key=lambda name: (name[0].islower(), name))
    line = f"from {home} import {', '.join(names)}"
    if len(line) <= width:
        return line
    rows = (
        textwrap.wrap(f"{', '.join(names)},", width - 4, break_long_words=False)
        if packed
        else [f"{name}," for name in names]
    )
    return "\n".join([f"from {home} import (", *(f"    {row}" for row in rows), ")"])


def wrapped(schedule: Schedule, *, width: int = 96, indent: str = "") -> str:
    """The schedule's expression broken into lines of at most ``width`` columns where its steps allow it.

    >>> from pytest_netfault.schedules import Sever, Write
    >>> print(wrapped(Schedule([Subscribe(), Break(Sever()), Write("a")]), width=40))
    Schedule([
        Subscribe(), Break(Sever()),
        Write('a'),
    ])
    """
    whole = f"{indent}{schedule!r}"
    if len(whole) <= width:
        return whole
    lines = [f"{indent}Schedule(["]
    line = f"{indent}   "
    for step in schedule.steps:
        if len(line) + len(repr(step)) + 2 > width and line.strip():
            lines.append(line)
            line = f"{indent}   "
        line += f" {step!r},"
    return "\n".join([*lines, line, f"{indent}])"])
