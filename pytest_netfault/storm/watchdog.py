"""Ends a play that hangs: first the faults go, then the connections, then the test is interrupted.

Time is counted in beats, and a beat counts a tenth of a second at most: while the whole machine stands still, nobody
hangs. The longest such pause is known afterwards, because it makes time limits of the test itself run out.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from pytest_netfault.storm.errors import where_of

__all__ = ["Hang", "Watchdog"]

_BEAT_SECONDS = 0.02
_MOST_PER_BEAT = 0.1
_GRACE_SECONDS = 1.0


class Hang(BaseException):
    """Raised in a test that does not end. No Exception, so that the test does not take it for one of its own."""


class Watchdog:
    """Watches the thread that makes it, one phase of a test after the other.

    Args:
        limit: how many seconds each phase may take.
        release: takes the faults away and ends the connections; must not raise.
        test: the file of the test.

    Attributes:
        hung: the function where it stood when its time was over; empty while there is no hang.
        line: where that was in the test.
        seconds: how long the newest phase has run, without the time in which the machine stood still.
        pause: the longest time for which the machine stood still, in seconds.
    """

    def __init__(self, limit: float, release: Callable[[], None], test: Path) -> None:
        self.hung = ""
        self.line = ""
        self.seconds = 0.0
        self.pause = 0.0
        self._limit = limit
        self._release = release
        self._test = test
        self._ident = threading.get_ident()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While this holds; leave it in the thread that has entered."""
        self.seconds = 0.0
        over = threading.Event()

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            if not over.is_set():
                raise Hang(f"the test did not end in {self._limit:g} s")

        main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
        before = signal.signal(signal.SIGALRM, interrupt) if main else None
        thread = threading.Thread(
            target=self._watch, args=(over, main), name="netfault-storm-watchdog", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            if main:
                signal.signal(signal.SIGALRM, before)

    def _watch(self, over: threading.Event, main: bool) -> None:
        if not self._runs_out(self._limit, over):
            return
        frame = sys._current_frames().get(self._ident)
        if not self.hung:
            self.hung, self.line = where_of(_outwards(frame), self._test)
        del frame
        self._release()
        while self._runs_out(_GRACE_SECONDS, over):
            if main:
                signal.pthread_kill(self._ident, signal.SIGALRM)

    def _runs_out(self, limit: float, over: threading.Event) -> bool:
        """Whether so much time passes before it is over."""
        left, last = limit, time.monotonic()
        while left > 0:
            ended = over.wait(_BEAT_SECONDS)
            now = time.monotonic()
            passed = min(now - last, _MOST_PER_BEAT)
            self.pause = max(self.pause, now - last - _MOST_PER_BEAT)
            left, last = left - passed, now
            self.seconds += passed
            if ended:
                return False
        return True


def _outwards(frame: FrameType | None) -> list[tuple[str, str, int]]:
    found = []
    while frame is not None:
        name = f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"
        found.append((frame.f_code.co_filename, name, frame.f_lineno))
        frame = frame.f_back
    return found
