"""The progress of a proof in one line, and where that goes if the caller passed no ``progress``.

How a line is shown, and how often, is decided by the session around the proof.
"""

from __future__ import annotations

from pytest_netfault.common.wording import counted
from pytest_netfault.proof import host
from pytest_netfault.proof.results import Progress, ProgressCallback

__all__ = ["progress_line", "progress_of_session"]


def progress_of_session() -> ProgressCallback | None:
    """Tells the current session where a proof is; None if there is none."""
    session = host.current()
    return None if session is None else lambda progress: session.progressed(progress_line(progress))


def progress_line(progress: Progress) -> str:
    """Where a proof is.

    >>> from pytest_netfault.schedules import Schedule, Subscribe
    >>> progress_line(Progress("sweeping", 12, 100, 3.2, Schedule([Subscribe()]), False, remaining=23.4))
    'place 12 of 100, 3 s, about 23 s left'
    >>> progress_line(Progress("shrinking", 5, None, 61.0, Schedule([Subscribe()]), True, Schedule([Subscribe()])))
    'an update was lost; looking for a smaller schedule, try 5 (smallest so far: 1 step), 61 s'
    """
    of = "" if progress.of is None else f" of {progress.of:,}"
    words = {
        "again": f"what was lost before, played again: {progress.done:,}{of}",
        "playing": f"schedule {progress.done:,}{of}",
        "sweeping": f"place {progress.done:,}{of}",
        "dealing": f"share {progress.done:,}{of}",
        "noticing": f"dead flows that the client must notice by itself: {progress.done:,}{of} judged",
        "shrinking": f"an update was lost; looking for a smaller schedule, try {progress.done:,}",
        "repeating": f"an update was lost; playing the smallest schedule again, {progress.done:,}{of}",
    }[progress.stage]
    if progress.smallest is not None:
        words += f" (smallest so far: {counted(len(progress.smallest), 'step')})"
    if progress.pending and progress.stage != "noticing":
        words += f", {counted(progress.pending, 'dead flow')} pending"
    words += f", {progress.seconds:.0f} s"
    return f"{words}, about {progress.remaining:.0f} s left" if progress.remaining else words
