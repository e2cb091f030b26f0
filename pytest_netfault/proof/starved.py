"""How long threads that had work to do got no processor: those of this process, and of all that it has started.

A client that is handed a lot, or its server, may need longer than ``settle`` on a machine that is busy with other
things, for what takes a second elsewhere. That is nothing to blame the client for. Linux counts for each thread how
long it stood in the queue (``/proc/PID/task/*/schedstat``, the second number, in nanoseconds; its
``Documentation/scheduler/sched-stats.rst``). Where nobody counts, it is 0.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Starved"]

_PROCESSES = Path("/proc")
_NANOSECOND = 1e-9


class Starved:
    """Counts from the first :meth:`take` on.

    >>> starved = Starved()
    >>> starved.take(), 0.0 <= starved.take() < 60.0
    (0.0, True)
    """

    def __init__(self, processes: Path = _PROCESSES, *, ours: int | None = None) -> None:
        self._processes = processes
        self._ours = os.getpid() if ours is None else ours
        self._before: dict[Path, int] | None = None

    def take(self) -> float:
        """For how many seconds the thread that was kept waiting longest has waited since the last call."""
        before, self._before = self._before, dict(self._queued())
        if before is None:
            return 0.0
        waited = (now - before.get(thread, 0) for thread, now in self._before.items())
        return max(waited, default=0) * _NANOSECOND

    def _queued(self) -> Iterator[tuple[Path, int]]:
        for process in self._family():
            with contextlib.suppress(OSError):  # it has just ended, or this is not Linux
                for thread in list((self._processes / str(process) / "task").iterdir()):
                    # As before; and not every kernel counts.
                    with contextlib.suppress(OSError, ValueError, IndexError):
                        yield thread, int((thread / "schedstat").read_text("ascii").split()[1])

    def _family(self) -> list[int]:
        """This process and its children, theirs, and so on."""
        children = defaultdict(list)
        with contextlib.suppress(OSError):
            for process in self._processes.iterdir():
                if process.name.isdecimal():
                    with contextlib.suppress(OSError, ValueError, IndexError):
                        # The name in parentheses may have anything in it.
                        parent = (
                            (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
                        )
                        children[int(parent)].append(int(process.name))
        family = [self._ours]
        for one in family:
            family += children.pop(one, [])
        return family
