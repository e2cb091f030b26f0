"""How the store is doing: its state, its counters, and those who want to be told.

State is apart from data on purpose: an outage is no change of the configuration.
"""

from __future__ import annotations

import enum
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from runtime_config import errors
from runtime_config._clock import elapsed, since_epoch
from runtime_config._owner import Owner

log = logging.getLogger("runtime_config")


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

    `reconnects`: streams that were opened again after one was lost. `resyncs`: times that everything had to be listed
    again (compacted or replaced). `overflows`: subscribers that were too slow. `callback_errors`: exceptions out of
    callbacks. `audits_failed`: losses on the server's side that the audit found.
    `last_contact`: when the server was last heard, in seconds since the epoch, None for never. It is measured with a
    clock that nobody sets, and put into the terms of the wall clock when it is read: a step of that moves it along.
    """

    reconnects: int = 0
    resyncs: int = 0
    overflows: int = 0
    callback_errors: int = 0
    audits_failed: int = 0
    last_contact: float | None = None


@dataclass(frozen=True)
class Health:
    """What one linearizable read said. True if it was answered; `latency` in seconds."""

    healthy: bool
    latency: float
    revision: int | None
    error: Exception | None

    def __bool__(self) -> bool:
        return self.healthy


class Handle:
    """What a registered callback is cancelled with. A context manager too.

    Whatever the callback raises (SystemExit and KeyboardInterrupt included) is logged and counted, and the next call
    comes all the same. Until it is cancelled the callback keeps its store open.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._owner = Owner()
        #: Why the callback will not be called any more, when that was not your doing.
        self.error: BaseException | None = None

    def cancel(self) -> None:
        """No call begins after this returns. Idempotent, and allowed inside the callback."""
        if self._owner.here:
            self._cancel()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class Board:
    """The present state and counters. The feed writes, everybody reads.

    Callbacks run in one thread of their own, which starts with the first of them, so that none can hold up the feed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.state = CONNECTING
        self._stale: float | None = None
        self.last_error: Exception | None = None
        self._counters = Counters()
        self._heard: float | None = None
        # With each callback whatever must live as long as it does: the store.
        self._listeners: dict[int, tuple[Callable[[State], None], object]] = {}
        self._next_listener = 0
        self._news: queue.SimpleQueue[State | None] = queue.SimpleQueue()
        self._teller: threading.Thread | None = None

    @property
    def counters(self) -> Counters:
        return replace(self._counters, last_contact=since_epoch(self._heard))

    @property
    def stale_since(self) -> float | None:
        return since_epoch(self._stale)

    @property
    def silence(self) -> float:
        """Seconds since the server was last heard; infinite before."""
        heard = self._heard
        return float("inf") if heard is None else elapsed() - heard

    def contact(self) -> None:
        """The server was heard. Called for every reply, so it takes no lock."""
        self._heard = elapsed()

    def count(self, what: str) -> None:
        with self._changed:
            self._counters = replace(self._counters, **{what: getattr(self._counters, what) + 1})

    def become(self, state: State, error: Exception | None = None) -> None:
        """Enter a state; nothing happens if it is the present one, except that a new error is noted."""
        with self._changed:
            if error is not None:
                self.last_error = error
            if self.state is state or self.state is CLOSED or (state is STALE and self.state is CONNECTING):
                return
            self.state = state
            self._stale = elapsed() if state is STALE else None
            if state is SYNCED:
                self.last_error = None
            self._changed.notify_all()
            if self._listeners:
                self._news.put(state)
        if state is STALE:
            log.warning("the store cannot be followed any more, values may be old: %s", error)
        else:
            log.info("the store is %s", state.value)

    def wait_synced(self, seconds: float) -> None:
        """Raises DeadlineExceeded, or Closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.state in (SYNCED, CLOSED), seconds)
            if self.state is CLOSED:
                raise errors.Closed("the store is closed")
            if self.state is not SYNCED:
                raise errors.DeadlineExceeded(
                    f"still {self.state.value} after {seconds:.2f} s: {self.last_error}"
                )

    def listen(self, callback: Callable[[State], None], keep: object = None) -> Handle:
        """Call back with each new state; `keep` is referred to as long as the callback is registered."""
        with self._changed:
            number = self._next_listener
            self._next_listener += 1
            self._listeners[number] = (callback, keep)
            if self._teller is None and self.state is not CLOSED:
                self._teller = threading.Thread(target=self._tell, name="runtime-config-state", daemon=True)
                self._teller.start()
        return Handle(lambda: self._forget(number))

    def _forget(self, number: int) -> None:
        with self._changed:
            self._listeners.pop(number, None)

    def _tell(self) -> None:
        while (state := self._news.get()) is not None:
            with self._changed:
                numbers = list(self._listeners)
            for number in numbers:
                listener = self._listeners.get(number)
                if listener is None:
                    continue
                try:
                    listener[0](state)
                except (
                    BaseException
                ):  # whatever it is, the other listeners and the next states are not its business
                    self.count("callback_errors")
                    log.exception("a state callback raised")
            listener = None

    def close(self, seconds: float) -> None:
        """Become CLOSED, tell the listeners, and end their thread; wait for it at most `seconds`."""
        self.become(CLOSED)
        self._news.put(None)
        if self._teller is not None and self._teller is not threading.current_thread():
            self._teller.join(seconds)
