"""The log records of the running test, for its timeline: those that pytest captures too."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING

from pytest_netfault.report.timeline_log import LogLine

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LogKeeper"]

# The newest of a test that logs a lot.
_KEPT = 200
_OURS = __name__.partition(".")[0]


class LogKeeper(logging.Handler):
    """Keeps the newest records of a test; levels are those of the loggers, as for pytest's own capture.

    Args:
        started_in: where pytest was started, which paths are relative to.
    """

    def __init__(self, started_in: Path) -> None:
        super().__init__()
        self._started_in = started_in
        self._lines: deque[LogLine] = deque(maxlen=_KEPT)

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """The records of the test that runs, the oldest first."""
        return tuple(self._lines)

    def begin(self) -> None:
        """A test begins. Idempotent."""
        self._lines.clear()
        logging.getLogger().addHandler(self)

    def end(self) -> None:
        """It is over. Idempotent."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; what this package logs of its links is on the timeline already."""
        if record.name.partition(".")[0] == _OURS:
            return
        try:
            message = record.getMessage()
        except Exception:  # its arguments do not fit; logging itself complains of that
            message = str(record.msg)
        below = os.path.relpath(record.pathname, self._started_in)
        place = record.pathname if below.startswith(os.pardir) else below
        self._lines.append(
            LogLine(
                time.monotonic(),
                record.levelno,
                record.levelname,
                record.name,
                message,
                f"{place}:{record.lineno}",
            )
        )
