"""Schedules with a dead flow, played beside the others: nearly all of their time is waiting for the client to notice.

::

    the caller's thread     example 1 | example 2 | ... | waits for the rest
    beside 1                schedule 0 with a dead flow ............. | schedule 10 ...
    beside 2                schedule 1 with a dead flow .......... |
    ...

Each thread has a link, clients and name spaces of its own. What touches the server itself (compact, restart, pause)
must not be played meanwhile: it would affect these runs, and a right client could be blamed for it. The caller ensures
that.

Closing it abandons what is still being played and waits until the clients are closed. What a play raises is raised in
the caller's thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_netfault.proof.bench import Bench, OpenBench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline, DidNotReturn, Recallable
from pytest_netfault.schedules.schedule import Schedule

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Beside", "Number"]

# So many are played at a time. Each costs two clients, and a thread or more for each of them.
_AT_ONCE = 10
# A client may take until its time limits to close, and one that never closes is left alone.
_JOIN_SECONDS = 30.0

# Which of the schedules it is, from 1.
Number = int


class Beside:
    """Plays schedules on threads of its own. A context manager: they are started at the beginning of the block.

    Args:
        schedules: what is played; drawn one by one as they are needed.
        of: how many there are.
        open_bench: opens what a thread plays with.
        deadline: at which all of it must be over.
        play: plays one; by default each is played once.
    """

    def __init__(
        self,
        schedules: Iterable[Schedule],
        of: int,
        open_bench: OpenBench,
        *,
        deadline: Deadline = NO_DEADLINE,
        play: Callable[[Bench, Schedule], Run] = Bench.play,
    ) -> None:
        self._schedules = enumerate(schedules, start=1)
        self._of = of
        self._open_bench = open_bench
        self._play = play
        self._lock = threading.Lock()
        self._done: queue.SimpleQueue[tuple[Number, Run] | BaseException | None] = queue.SimpleQueue()
        self._deadline = Recallable(deadline.at)
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._working = 0
        self.judged = 0
        self.latest: Schedule | None = None

    @property
    def of(self) -> int:
        """How many schedules there are."""
        return self._of

    @property
    def pending(self) -> int:
        """How many are still to be judged; none after the end."""
        return 0 if self._closed or not self._working else self._of - self.judged

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=self._work, name=f"netfault beside {number}", daemon=True)
            for number in range(1, min(self._of, _AT_ONCE) + 1)
        ]
        self._working = len(self._threads)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Abandon what is still being played, and wait until its clients are closed. Idempotent."""
        self._closed = True
        self._deadline.recall()
        until = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        self._threads = []

    def take(self, timeout: float) -> tuple[Number, Run] | None:
        """The next run that has ended; None if none has within ``timeout`` seconds, or there is none to come.

        Raises:
            BaseException: whatever a play raised.
        """
        deadline = time.monotonic() + timeout
        while self._working and not self._closed:
            try:
                item = self._done.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if item is None:
                self._working -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                self.judged += 1
                return item
        return None

    # -- on the threads -----------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with self._open_bench(self._deadline) as bench:
                while not self._deadline.over:
                    with self._lock:
                        number, schedule = next(self._schedules, (0, None))
                    if schedule is None:
                        break
                    self.latest = schedule
                    run = self._play(bench, schedule)
                    if run.broken or not run.cut_short:
                        self._done.put((number, run))
        except BaseException as error:
            if not (isinstance(error, DidNotReturn) and self._deadline.over):
                self._done.put(error)
        self._done.put(None)
