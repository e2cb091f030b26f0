"""How the store is doing: its state, its counters, its health, and the handle of a registered callback.

State is separate from data on purpose: an outage is no change of the configuration.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from runtime_config._owner import Owner


class State(enum.Enum):
    """`CONNECTING` before the first contact, then `SYNCED` or `STALE` (values may be old), at the end `CLOSED`."""

    CONNECTING = "connecting"
    SYNCED = "synced"
    STALE = "stale"
    CLOSED = "closed"


CONNECTING, SYNCED, STALE, CLOSED = State.CONNECTING, State.SYNCED, State.STALE, State.CLOSED


@dataclass(frozen=True)
class Counters:
    """Numbers for a service to export; all count up from the opening of the store.

    `reconnects`: streams that were reopened after one was lost. `resyncs`: times that everything had to be listed
    again (compacted or replaced). `overflows`: subscribers that were too slow. `callback_errors`: exceptions raised by
    callbacks. `audits_failed`: losses on the server's side that the audit found.
    `last_contact`: when the server last replied, in seconds since the epoch, None for never. It is measured with a
    monotonic clock, and converted to the wall clock when it is read: setting the wall clock moves it along.
    """

    reconnects: int = 0
    resyncs: int = 0
    overflows: int = 0
    callback_errors: int = 0
    audits_failed: int = 0
    last_contact: float | None = None


@dataclass(frozen=True)
class Health:
    """The result of one linearizable read. True if it was answered; `latency` in seconds."""

    healthy: bool
    latency: float
    revision: int | None
    error: Exception | None

    def __bool__(self) -> bool:
        return self.healthy


class Handle:
    """Cancels a registered callback. Also a context manager.

    Whatever the callback raises (SystemExit and KeyboardInterrupt included) is logged and counted, and later calls are
    made all the same. Until it is cancelled the callback keeps its store open.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._owner = Owner()
        #: Why the callback will no longer be called, where it was not cancelled by you.
        self.error: BaseException | None = None

    def cancel(self) -> None:
        """No call begins after this returns. Idempotent, and allowed inside the callback."""
        if self._owner.here:
            self._cancel()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
