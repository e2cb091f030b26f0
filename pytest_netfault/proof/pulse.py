"""How late this process runs, and how many may play at once because of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

__all__ = ["Pulse"]

# A thread that asks to be woken after this time is woken a millisecond later at most, where there is room.
_BEAT_SECONDS = 0.02
# Later than this, and clients with time limits of some tenths of a second begin to miss them.
_LATE_SECONDS = 0.1
# After so long without lateness one more may play.
_RECOVERY_SECONDS = 1.0


class Pulse:
    """Seats for those who play side by side; there are fewer while the machine falls behind.

    Args:
        seats: how many there are where nothing is late.
    """

    def __init__(self, seats: int) -> None:
        self._most = seats
        self._seats = seats
        self._taken = 0
        self._alone = False
        self._changed = threading.Condition()
        self._late_at = float("-inf")  # time.monotonic() of the last late beat
        self._asked_at = float("inf")  # and of the beat that is waited for
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def seats(self) -> int:
        """How many may play at once now."""
        return self._seats

    def start(self) -> None:
        """Begin to measure. Idempotent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="netfault pulse", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Measure no longer. Idempotent."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def on_time_since(self, began: float) -> bool:
        """Whether nothing was late since ``time.monotonic()`` was ``began``."""
        overdue = time.monotonic() - self._asked_at - _BEAT_SECONDS > _LATE_SECONDS
        return self._late_at < began and not overdue

    @contextlib.contextmanager
    def seat(self) -> Iterator[None]:
        """Wait for a seat, and have it until the end of the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self._seats and not self._alone)
            self._taken += 1
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Inside :meth:`seat`: wait until nobody else plays, and let nobody begin until the end of the block."""
        self._leave()
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._taken)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._taken += 1
                self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def _beat(self) -> None:
        calm_since = self._asked_at = time.monotonic()
        while not self._ended.wait(_BEAT_SECONDS):
            now = time.monotonic()
            late = now - self._asked_at - _BEAT_SECONDS > _LATE_SECONDS
            self._asked_at = now
            if late or now - calm_since >= _RECOVERY_SECONDS:
                calm_since = now
                self.feel(now, late=late)

    def feel(self, now: float, *, late: bool) -> None:
        """Take in how it went: half the seats after a late beat, one more after a time without any."""
        with self._changed:
            if late:
                self._late_at = now
                self._seats = max(1, self._seats // 2)
            elif self._seats < self._most:
                self._seats += 1
                self._changed.notify_all()
