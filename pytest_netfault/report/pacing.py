"""How often a line about a proof that runs is shown: often where it is rewritten, now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pacing"]

# The first line: what takes less needs no explanation.
_FIRST_SECONDS = 2.0
_TERMINAL_SECONDS = 0.2
# Of a job's log, where each line stays: enough to see that it is alive, and not to scroll.
_LOG_FIRST_SECONDS = 15.0
_LOG_SECONDS = 30.0


class Pacing:
    """When the next line is due. Nothing is shown of a proof that is over in a moment.

    Args:
        clock: seconds that rise; replaced in tests.

    >>> pacing = Pacing(iter([0.0, 1.0, 2.5, 2.6, 2.8]).__next__)
    >>> [pacing.due(rewritten=True) for _ in range(5)]
    [False, False, True, False, True]
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._last = float("-inf")

    def due(self, *, rewritten: bool) -> bool:
        """A proof has made progress: whether that is to be shown now.

        Args:
            rewritten: the line replaces the one before, as on a terminal.
        """
        now = self._clock()
        if self._began is None:
            self._began = now
        first, pause = (
            (_FIRST_SECONDS, _TERMINAL_SECONDS) if rewritten else (_LOG_FIRST_SECONDS, _LOG_SECONDS)
        )
        if now - self._began < first or now - self._last < pause:
            return False
        self._last = now
        return True

    def over(self) -> None:
        """The proof has ended; what comes next is another one."""
        self._began, self._last = None, float("-inf")
