"""How long threads of this process that had work to do got no processor.

A client in this process that is handed a lot, on a machine that is busy with other things, may need longer than
``settle`` for what takes it a second elsewhere. That is nothing to blame it for. Linux counts for each thread how long
it stood in the queue (``/proc/self/task/*/schedstat``, the second number, in nanoseconds; its
``Documentation/scheduler/sched-stats.rst``). Where nobody counts, it is 0.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["Starved"]

_THREADS = Path("/proc/self/task")
_NANOSECOND = 1e-9


class Starved:
    """Counts from its making on, and from each :meth:`take` on.

    >>> 0.0 <= Starved().take() < 60.0
    True
    """

    def __init__(self, threads: Path = _THREADS) -> None:
        self._threads = threads
        self._before = self._queued()

    def take(self) -> float:
        """For how many seconds the thread that was kept waiting longest has waited for a processor."""
        before, self._before = self._before, self._queued()
        waited = (now - before.get(thread, 0) for thread, now in self._before.items())
        return max(waited, default=0) * _NANOSECOND

    def _queued(self) -> dict[str, int]:
        found = {}
        with contextlib.suppress(OSError):  # not Linux
            for thread in list(self._threads.iterdir()):
                # It may have ended just now, and not every kernel counts.
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found[thread.name] = int((thread / "schedstat").read_text("ascii").split()[1])
        return found
