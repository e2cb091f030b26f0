"""Clocks: durations are never measured with the wall clock, which people and NTP set."""

from __future__ import annotations

import time
from functools import partial

# On Linux this includes the time in which the machine was suspended: what is known from before is that old.
elapsed = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


def since_epoch(moment: float | None) -> float | None:
    """A moment of `elapsed` as seconds since the epoch, according to the wall clock now."""
    return None if moment is None else time.time() - (elapsed() - moment)
