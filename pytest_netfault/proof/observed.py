"""What a play has shown, said to Hypothesis where it tries the schedules.

``hypothesis.event()`` gets signals of the guided search (``signals.py``), so that ``--hypothesis-show-statistics``
lists which share of the inputs has met what.
"""

from __future__ import annotations

from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.property_tests import in_property_test
from pytest_netfault.proof.signals import signals_of

__all__ = ["observe"]

_EVENTS = ("ends", "recovery")


def observe(run: Run) -> None:
    """Tell Hypothesis, if it runs the caller; else nothing happens."""
    if not in_property_test():
        return
    from hypothesis import event

    for signal in sorted(signals_of(run, _EVENTS)):
        event(f"netfault {signal}")
