"""How limits are drawn, and how a fault that has some is made simpler. Pure functions of data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pytest_netfault.faults.base import Chance, Fault, limit_names, limits_of

__all__ = ["simpler_forms", "with_limits"]


def with_limits(fault: Fault, chance: Chance) -> Fault:
    """The fault with limits that are worth trying; the same one where it takes none.

    >>> from pytest_netfault.faults import Refuse
    >>> with_limits(Refuse(), Chance(lambda n: 0)), with_limits(Refuse(), Chance(lambda n: n - 1))
    (Refuse(connections=1), Refuse(count=3))
    """
    try:
        return dataclasses.replace(fault, **fault.draw_limits(chance))
    except (TypeError, ValueError):  # of somebody's own, which is made in another way or takes no such limit
        return fault


def simpler_forms(fault: Fault) -> Iterator[Fault]:
    """Candidates for a simpler fault of this class, the boldest first: fewer limits, simpler arguments."""
    limited = bool(limits_of(fault))
    if limited:
        names = [name for name in sorted(limit_names(type(fault))) if getattr(fault, name, None) is not None]
        yield from _without(fault, *names)
        for name in names:
            yield from _without(fault, name)
        numbers = limits_of(fault).connections
        if numbers is not None and not isinstance(numbers, int):
            yield from _replaced(fault, connections=numbers[0])
            yield from _replaced(fault, connections=numbers[-1])
    yield from fault.simpler()


def _without(fault: Fault, *names: str) -> Iterator[Fault]:
    yield from _replaced(fault, **dict.fromkeys(names))


def _replaced(fault: Fault, **arguments: int | None) -> Iterator[Fault]:
    try:
        yield dataclasses.replace(fault, **arguments)
    except (TypeError, ValueError):
        return
