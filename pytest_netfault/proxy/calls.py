"""How other threads ask something of the proxy's thread, and wait for it, without a lock that anybody holds.

A signal handler, or a ``__del__`` that the garbage collector runs, may ask in the middle of another question of the
same thread. With a lock around a queue, a ``Future`` or an ``Event``, that thread would then wait for itself, or the
proxy for a lock which the interrupted code holds. So here

* a question is appended to a deque, which is one step;
* its answer is announced by releasing a lock that only the asker waits for, which never blocks whoever announces.

Nothing here blocks but :meth:`Moment.wait`, and nothing is acquired that has to be released again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

__all__ = ["Call", "CallQueue", "Moment"]

T = TypeVar("T")

_WAIT_SECONDS = 0.05


class Moment:
    """Something that happens once, and that one thread waits for. Announcing it never blocks."""

    __slots__ = ("_lock", "cancelled", "come")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.come = False
        self.cancelled = False

    def announce(self, *, cancelled: bool = False) -> None:
        """It has come, or will never come. Only the first announcement counts."""
        if not self.come:
            self.cancelled = cancelled
            self.come = True
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has come; False if that took longer than ``timeout`` seconds. Signal handlers run meanwhile."""
        if not self.come:
            self._lock.acquire(timeout=-1 if timeout is None else timeout)
        return self.come


class Call(Generic[T]):
    """A function to run on the proxy's thread, and what came of it.

    Args:
        function: what to run.
        answered_later: it only begins something, whose end is reported by :meth:`CallQueue.finish`.
    """

    __slots__ = ("_answered_later", "_error", "_function", "_moment", "_result")

    def __init__(self, function: Callable[[], T], *, answered_later: bool = False) -> None:
        self._function: Callable[[], T] | None = function
        self._answered_later = answered_later
        self._moment = Moment()
        self._result: T | None = None
        self._error: BaseException | None = None

    @property
    def answered(self) -> bool:
        """Whether its asker may go on."""
        return self._moment.come

    def run(self) -> None:
        """On the proxy's thread: run it, and keep no reference to what it was made of."""
        function, self._function = self._function, None
        assert function is not None, "a call runs once"
        try:
            self._result = function()
        except BaseException as error:  # noqa: BLE001, RUF100 - it belongs to the caller
            self._error = error
        # Whoever asked may let go of the last reference to a NetFault, and then the proxy must have none.
        del function
        if self._error is not None or not self._answered_later:
            self._moment.announce()

    def finish(self, error: BaseException | None) -> None:
        """What it has begun is done, or has failed; or it will not be run. The first answer counts."""
        self._function = None
        self._error = self._error or error
        self._moment.announce()

    def answer(self) -> T:
        """Wait for the end of it; returns what the function returned, or raises what it raised."""
        # In short waits: a signal that comes just before a wait begins is only handled after it.
        while not self._moment.wait(_WAIT_SECONDS):
            pass
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        return cast("T", self._result)


class CallQueue:
    """Calls that wait for the proxy's thread, and those that it has not answered yet."""

    def __init__(self) -> None:
        self._waiting: deque[Call[Any]] = deque()
        self._unanswered: set[Call[Any]] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, function: Callable[[], T]) -> Call[T]:
        """Put a call of this function at the end."""
        return self.append(Call(function))

    def append(self, call: Call[T]) -> Call[T]:
        """Put a call at the end."""
        self._unanswered.add(call)
        self._waiting.append(call)
        return call

    def run(self) -> None:
        """On the proxy's thread: run all that wait, in order."""
        while (call := self._next()) is not None:
            call.run()
            if call.answered:
                self._unanswered.discard(call)
            del call

    def finish(self, call: Call[Any], error: BaseException | None) -> None:
        """On the proxy's thread: what a call has begun is done, or has failed."""
        call.finish(error)
        self._unanswered.discard(call)

    def refuse(self, error: Callable[[], BaseException]) -> None:
        """Fail all that wait. Any thread may do this once the proxy's thread runs no more calls."""
        while (call := self._next()) is not None:
            self.finish(call, error())

    def refuse_unanswered(self, error: Callable[[], BaseException]) -> None:
        """In a forked child, which has no proxy's thread: fail also what that thread was in the middle of."""
        self._waiting.clear()
        for call in list(self._unanswered):
            call.finish(error())
        self._unanswered.clear()

    def _next(self) -> Call[Any] | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None
