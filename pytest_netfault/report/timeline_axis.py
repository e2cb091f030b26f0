"""The time axis: to scale where something happens, squeezed where nothing does.

A run that loses an update takes milliseconds, and then seconds pass in which a subscriber is waited for. On an axis to
scale the whole story is one pixel wide. So a pause takes the more room the longer it is, but far less than its share;
the page marks each squeezed pause with its length, and can show the axis to scale instead.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable

from pytest_netfault.report.timeline import Timeline

__all__ = ["Knot", "milliseconds", "squeezed", "squeezed_axis"]

Knot = tuple[float, float]  # a time, and its place on the axis; between two knots the axis is even

# A pause longer than this many usual ones is squeezed.
_LONG = 3.0
# How much of its usual length a pause gets for each factor of e that it is longer.
_GROWTH = 0.2
# Pauses shorter than this are not worth a mark on the axis.
_SHORTEST_SECONDS = 0.0005


def squeezed_axis(timeline: Timeline) -> tuple[Knot, ...]:
    """The axis of a picture; see :func:`squeezed`."""
    times = [0.0]
    for mark in timeline.marks:
        times += [time for time in (mark.start, mark.end, mark.known) if time is not None]
    return squeezed(times)


def squeezed(times: Iterable[float]) -> tuple[Knot, ...]:
    """The knots of an axis on which pauses between these times are squeezed.

    >>> squeezed([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])  # nothing is unusual: to scale
    ((0.0, 0.0), (5.0, 5.0))
    >>> [round(place, 1) for _, place in squeezed([0.0, 1.0, 2.0, 3.0, 1000.0, 1001.0])]
    [0.0, 3.0, 9.5, 10.5]
    """
    points = sorted(set(times))
    if not points:
        return ((0.0, 0.0), (1.0, 1.0))
    gaps = [later - earlier for earlier, later in itertools.pairwise(points)]
    if not gaps:
        return ((points[0], 0.0), (points[0] + 1.0, 1.0))
    long = max(_LONG * statistics.median(gaps), _SHORTEST_SECONDS)
    knots = [(points[0], 0.0)]
    for earlier, later in itertools.pairwise(points):
        if later - earlier > long:
            time, place = knots[-1]
            if earlier > time:
                knots.append((earlier, place + earlier - time))
            room = long * (1 + _GROWTH * math.log((later - earlier) / long))
            knots.append((later, knots[-1][1] + room))
    time, place = knots[-1]
    if points[-1] > time:
        knots.append((points[-1], place + points[-1] - time))
    return tuple(knots)


def milliseconds(seconds: float) -> str:
    """A time in few characters.

    >>> milliseconds(0.02466), milliseconds(0.25), milliseconds(2.0412)
    ('24.7 ms', '250 ms', '2.04 s')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.09995 else f"{seconds * 1e3:.1f} ms"
