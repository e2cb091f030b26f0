"""Lanes: plays of one proof, side by side, because a play mostly waits.

::

    lane 1   play 1 ........ | play 4 ... | play 6 ......
    lane 2   play 2 ... | play 3 ........ | play 5 ...
    given back, in order:    1   2        3    4  ...

* Each lane has a bench of its own: a link, clients and name spaces that no other has, and a server of its own where
  there can be one.
* Results come in the order of what was asked for, whatever ends first: what is found, and what is counted by then, is
  the same for every number of lanes.
* A machine that falls behind makes clients slow, and a slow client looks like one that lost an update. So lateness is
  measured all the time: fewer lanes play while there is some, and what was judged by silence meanwhile is played again
  alone (:meth:`Lanes.fairly`).

Whoever makes lanes closes them, which abandons what is still being played and waits until its clients are closed.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_netfault.proof.bench import Bench, OpenBench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.limits import Deadline, Recallable
from pytest_netfault.proof.pulse import Pulse
from pytest_netfault.schedules.schedule import Schedule

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Lanes"]

T = TypeVar("T")
R = TypeVar("R")

# So many results per lane may wait for one before them.
_AHEAD = 4
# A client may take until its time limits to close, and one that never closes is left alone.
_JOIN_SECONDS = 30.0


@dataclass(frozen=True)
class _Job:
    """One play that a lane is to make, and where its outcome goes."""

    number: int
    run: Callable[[Bench], Any]
    until: Recallable
    done: queue.SimpleQueue[tuple[int, Any, BaseException | None]]


class Lanes:
    """Plays side by side. A context manager; its threads start when they are needed.

    Args:
        own: the bench of the caller's thread, on which a single lane plays.
        open_bench: opens the bench of another lane.
        count: how many lanes.
        until: when all must be over.
    """

    def __init__(self, own: Bench, open_bench: OpenBench, count: int, *, until: Deadline) -> None:
        self._own = own
        self._open_bench = open_bench
        self._until = until
        self._deadline = Recallable(until.at)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._pulse = Pulse(count)
        self._failed_to_close: list[BaseException] = []
        self.count = count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self._failed_to_close:
            raise self._failed_to_close[0]

    def close(self) -> None:
        """Abandon what is still being played, and wait until its clients are closed. Idempotent."""
        self._deadline.recall()
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._threads = []
        self._pulse.close()

    @property
    def own(self) -> Bench:
        """The bench of the caller's thread."""
        return self._own

    @property
    def apart(self) -> bool:
        """Whether each lane has a server of its own."""
        return self._own.has_servers_apart

    def in_order(
        self,
        play: Callable[[Bench, T, Deadline], R],
        items: Iterable[T],
        *,
        lanes: int | None = None,
        until: Recallable | None = None,
        ahead: int | None = None,
    ) -> Generator[tuple[T, R], None, None]:
        """Play each item, and give it back with its result, in the order of the items.

        What a play raises is raised at its place in that order. Whoever stops iterating closes the iterator
        (``contextlib.closing``), which abandons what was begun ahead.

        Args:
            play: plays an item on a bench, until a deadline.
            items: drawn as they are needed, a few ahead.
            lanes: at most so many; one plays in the caller's thread.
            until: the deadline of the plays, if it is another than that of the lanes; it is recalled in the end.
            ahead: at most so many are drawn before the result of the first of them was given back; by default a few for
                each lane.
        """
        recallable = Recallable(self._until.at) if until is None else until
        if min(self.count, lanes or self.count) == 1:
            for item in items:
                yield item, play(self._own, item, recallable)
            return
        todo, exhausted = iter(items), False
        results: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        under_way: deque[T] = deque()
        ended: dict[int, tuple[Any, BaseException | None]] = {}
        number, most = 0, min(_AHEAD * self.count, ahead or _AHEAD * self.count)
        try:
            while True:
                while not exhausted and len(under_way) < most:
                    try:
                        item = next(todo)
                    except StopIteration:
                        exhausted = True
                        break
                    job = number + len(under_way)
                    self._begin(_Job(job, _bound(play, item, recallable), recallable, results))
                    under_way.append(item)
                if not under_way:
                    return
                while number not in ended:
                    which, value, failure = results.get()
                    ended[which] = value, failure
                value, failure = ended.pop(number)
                number += 1
                if failure is not None:
                    raise failure
                yield under_way.popleft(), value
        finally:
            recallable.recall()

    def fairly(self, bench: Bench, schedule: Schedule, deadline: Deadline, *, learn: bool = False) -> Run:
        """Play a schedule; if it was judged by silence while the machine fell behind, play it once more, alone."""
        began = time.monotonic()
        run = bench.play(schedule, deadline=deadline, learn=learn)
        if self.count == 1 or not run.broken or not run.naming.quiet_at_end:
            return run
        if self._pulse.on_time_since(began) or deadline.over:
            return run
        with self._pulse.alone():
            return bench.play(schedule, deadline=deadline, learn=learn)

    def _begin(self, job: _Job) -> None:
        self._jobs.put(job)
        if len(self._threads) < self.count:
            self._pulse.start()
            name = f"netfault lane {len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    # -- on the threads -----------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with contextlib.ExitStack() as stack:
                bench: Bench | None = None
                while (job := self._jobs.get()) is not None:
                    # One whose time is merely up is played: it says so itself.
                    if job.until.recalled:
                        continue
                    value, failure = None, None
                    try:
                        with self._pulse.seat():
                            if bench is None:
                                bench = self._open_bench(self._deadline, apart=True)
                                bench.__enter__()
                                stack.push(bench)
                            value = job.run(bench)
                    except BaseException as error:  # raised where the result is taken
                        failure = error
                    job.done.put((job.number, value, failure))
        except BaseException as error:
            self._failed_to_close.append(error)


def _bound(play: Callable[[Bench, T, Deadline], R], item: T, deadline: Deadline) -> Callable[[Bench], R]:
    return lambda bench: play(bench, item, deadline)
