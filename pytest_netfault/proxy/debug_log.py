"""Events at level DEBUG in the standard library's logging, to follow a test while it runs.

Two loggers: ``pytest_netfault.connections`` and ``pytest_netfault.faults``. A log handler is code of others: it may be
slow, raise, or wait for a lock that a test holds while it asks something of a link. So handlers never run on the thread
of the proxy. They run in the thread that calls the link, before its call returns, and where nobody calls on a thread of
their own, which starts with the first event that somebody wants to see.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from queue import SimpleQueue

from pytest_netfault.events import LinkEvent, describe
from pytest_netfault.proxy.undisturbed import ends_within, undisturbed

__all__ = ["DebugLog"]

_CONNECTIONS = logging.getLogger("pytest_netfault.connections")
_FAULTS = logging.getLogger("pytest_netfault.faults")
_ABOUT_FAULTS = frozenset({"fault", "hit", "heal", "note", "trouble"})
# A caller does not wait longer than this for a handler that runs in another thread, and may wait for this one.
_PATIENCE_SECONDS = 0.1


class DebugLog:
    """Passes events to handlers, in order. Nothing is done while level DEBUG is off."""

    def __init__(self) -> None:
        self._waiting: deque[LinkEvent] = deque()
        self._handling = False
        self._turn = threading.RLock()  # a signal handler may come here in the middle of a handler
        self._wakeups: SimpleQueue[bool] = SimpleQueue()  # False ends the thread
        self._thread: threading.Thread | None = None

    def write(self, event: LinkEvent) -> None:
        """Take an event. On the engine's thread; waits for nobody."""
        # Not isEnabledFor(), which may take the lock of logging.
        logger = _FAULTS if event.kind in _ABOUT_FAULTS else _CONNECTIONS
        if logger.getEffectiveLevel() > logging.DEBUG or logger.manager.disable >= logging.DEBUG:
            return
        self._waiting.append(event)
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="netfault-log", daemon=True)
            try:
                undisturbed(thread.start)
            except RuntimeError:  # the system has no more threads: whoever calls next has it handled
                return
            self._thread = thread
        self._wakeups.put(True)

    def flush(self) -> None:
        """Let handlers have what happened so far."""
        if (self._waiting or self._handling) and self._turn.acquire(timeout=_PATIENCE_SECONDS):
            try:
                self._handle_waiting()
            finally:
                self._turn.release()

    def end(self, *, wait: bool) -> None:
        """End the thread, and wait for it, unless this is the engine's thread. Idempotent."""
        self._wakeups.put(False)
        if wait:
            self.flush()
            if self._thread is not None and self._thread.ident != threading.get_ident():
                ends_within(self._thread, _PATIENCE_SECONDS)

    def forget(self) -> None:
        """In a forked child: what happened in the parent is the parent's to log."""
        self._waiting.clear()
        self._turn = threading.RLock()
        self._wakeups, self._thread = SimpleQueue(), None

    def _serve(self) -> None:
        while self._wakeups.get():
            with self._turn:
                self._handle_waiting()

    def _handle_waiting(self) -> None:
        self._handling = True
        try:
            while self._waiting:
                event = self._waiting.popleft()
                _logger_of(event).handle(_record_of(event))
        finally:
            self._handling = False


def _logger_of(event: LinkEvent) -> logging.Logger:
    return _FAULTS if event.kind in _ABOUT_FAULTS else _CONNECTIONS


def _record_of(event: LinkEvent) -> logging.LogRecord:
    """The event as a log record of the time at which it happened, with itself as ``link_event``."""
    words = describe(event, since=None)
    logger = _logger_of(event)
    record = logger.makeRecord(
        logger.name, logging.DEBUG, __file__, 0, "%s", (words,), None, extra={"link_event": event}
    )
    ago = time.monotonic() - event.time
    record.created -= ago
    record.msecs = int(record.created % 1 * 1000)
    record.relativeCreated -= ago * 1000
    return record
