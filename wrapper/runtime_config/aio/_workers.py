"""Threads for calls that block: a few, started when they are needed, and gone when they are not.

They are daemons of the store's own. Those of `asyncio.to_thread` would be shared with the rest of the program, and
would be waited for at its end, whatever the network does.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from runtime_config import errors
from runtime_config._etcd.giving_up import GIVEN_UP

T = TypeVar("T")

#: Calls that one store makes at the same time; more wait for their turn.
MOST = 32
_IDLE_SECONDS = 10.0


class Call(Generic[T]):
    """A call in a worker, or on its way there. `future` gets what it returns or raises."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.future: Future[T] = Future()
        self._function: Callable[[], T] | None = function
        self._context = contextvars.copy_context()
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Nobody waits for it any more: it is not begun, and if it has begun, nothing more is sent for it."""
        self._given_up.set()
        self.future.cancel()

    def run(self) -> None:
        function, self._function = self._function, None
        if not self.future.set_running_or_notify_cancel() or function is None:
            return
        self._context.run(GIVEN_UP.set, self._given_up)
        try:
            result = self._context.run(function)
        except BaseException as error:
            del function  # before anybody hears of the end: it keeps nothing alive from then on
            self.future.set_exception(error)
        else:
            del function
            self.future.set_result(result)

    def refuse(self, error: Exception) -> None:
        """It is never begun."""
        self._function = None
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Workers:
    """Safe to use from any thread."""

    def __init__(self, most: int = MOST, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._most, self._idle_seconds = most, idle_seconds
        self._changed = threading.Condition()
        self._calls: deque[Call[Any]] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def submit(self, function: Callable[[], T]) -> Call[T]:
        """Call this in a thread, in the current context. Raises Closed, and never waits."""
        call = Call(function)
        with self._changed:
            if self._closed:
                raise errors.Closed("the store is closed")
            self._calls.append(call)
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif len(self._threads) < self._most:
                self._start_one()
        return call

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._run, name="runtime-config-call", daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no more of them; those that run take the call
            self._threads.discard(thread)
            if not self._threads:
                self._calls.pop()
                raise

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call.run()
            del call  # an idle thread keeps nothing alive

    def _next(self) -> Call[Any] | None:
        with self._changed:
            self._idle += 1
            try:
                self._changed.wait_for(lambda: self._calls or self._closed, self._idle_seconds)
            finally:
                self._idle -= 1
            if self._calls:
                return self._calls.popleft()
            self._threads.discard(threading.current_thread())
            return None

    def close(self, seconds: float) -> None:
        """Begin no more calls, and wait for the threads at most so long. Idempotent."""
        with self._changed:
            self._closed = True
            calls, self._calls = self._calls, deque()
            threads = list(self._threads)
            self._changed.notify_all()
        for call in calls:
            call.refuse(errors.Closed("the store is closed"))
        deadline = time.monotonic() + seconds
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
