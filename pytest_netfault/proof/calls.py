"""Calls of a client under test, made on threads of the kit's, so that a call that never returns hangs nothing.

::

    runner ---- submit(put, "a", "1") ----> a queue ----> one thread ----> client
      |                                                                      |
      +---- Call.wait(0.3) <---- done, with a result or an exception --------+

Rules of this file:

* One thread makes one call at a time, in the order of their submission: a client is never called from two threads
  of one :class:`Caller` at once.
* Nothing here waits without a bound. A thread that hangs in a client cannot be ended by anybody; it is a daemon,
  so that it cannot keep the process alive either.
* What a client raises stays with its call, whatever it is: the thread lives on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Call", "Caller"]


class Call:
    """One call: waiting, then begun, then done.

    Attributes:
        begun: ``time.monotonic()`` when the client was called, or None.
        ended: ``time.monotonic()`` when it returned or raised, or None.
        result: what it returned.
        error: what it raised, or None.
        dropped: True if its :class:`Caller` closed before it began: the client never saw it.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self._done = threading.Event()
        self.begun: float | None = None
        self.ended: float | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.dropped = False

    @property
    def done(self) -> bool:
        """Whether the client returned or raised."""
        return self.ended is not None

    def wait(self, timeout: float) -> bool:
        """Wait until it is done or dropped, at most ``timeout`` seconds; return whether the client is done."""
        self._done.wait(timeout)
        return self.done

    def _make(self) -> None:
        self.begun = time.monotonic()
        try:
            self.result = self._function(*self._arguments)
        except BaseException as error:
            self.error = error
        self.ended = time.monotonic()
        self._done.set()

    def _drop(self) -> None:
        self.dropped = True
        self._done.set()


class Caller:
    """One thread that makes calls, one after another; ``close()`` ends it."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"netfault {name}", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Queue a call and return at once."""
        call = Call(function, arguments)
        if self._closed:
            call._drop()
        else:
            self._calls.put(call)
        return call

    def close(self, timeout: float = 0.0) -> bool:
        """Drop what has not begun and end the thread; return whether it ended within ``timeout`` seconds.

        False means that the client has not returned from the call that it is in.
        """
        self._closed = True
        self._calls.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if self._closed:
                call._drop()
            else:
                call._make()
