"""Clocks: how much time has passed is never taken from the one that people and NTP set."""

from __future__ import annotations

import time
from functools import partial

# Linux has a clock that also counts the time in which the machine was suspended: what was heard before is that old.
elapsed = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


def since_epoch(moment: float | None) -> float | None:
    """A moment of `elapsed` as seconds since the epoch, by what the wall clock says now."""
    return None if moment is None else time.time() - (elapsed() - moment)
