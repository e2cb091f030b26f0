"""A proof inside a property-based test: Hypothesis tries many schedules, each of which is only a part of the test.

Two things differ then. A schedule that proved nothing is not a failure but a rejected draw, as by ``assume()``; if all
are rejected, Hypothesis reports that. And only the last loss of a test is reported, which is the smallest: the others
were steps on the way to it.

Hypothesis is an extra. It is used here only if somebody else has imported it.
"""

from __future__ import annotations

import functools
import sys

from pytest_netfault.proof.results import ProvedNothing, Report

__all__ = ["as_bad_draw", "in_property_test"]


def in_property_test() -> bool:
    """Whether Hypothesis runs the caller with an input of its own, or with an ``@example``."""
    hypothesis = sys.modules.get("hypothesis")
    # None while Hypothesis itself is being imported.
    inside = getattr(hypothesis, "currently_in_test_context", None)
    return inside is not None and bool(inside())


def as_bad_draw(nothing: ProvedNothing) -> ProvedNothing:
    """What to raise for it: the same, which is an unsatisfied assumption as well while Hypothesis draws.

    What somebody wrote as an ``@example`` stays a failure, and so does the last play of what failed before.
    """
    if not in_property_test():
        return nothing
    from hypothesis.control import current_build_context

    if getattr(current_build_context(), "is_final", False):
        return nothing
    return _bad_draw()(str(nothing), report=nothing.report)


@functools.cache
def _bad_draw() -> type[ProvedNothing]:
    from hypothesis.errors import UnsatisfiedAssumption

    class BadDraw(ProvedNothing, UnsatisfiedAssumption):
        """Hypothesis rejects the input that this comes out of, and counts it as invalid."""

        def __init__(self, message: str, *, report: Report) -> None:
            UnsatisfiedAssumption.__init__(self, "a schedule that proved nothing")
            ProvedNothing.__init__(self, message, report=report)

    return BadDraw
