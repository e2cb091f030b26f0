"""Keeps the state and the counters of one store, and notifies the observers of its state."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import replace

from runtime_config import errors
from runtime_config._clock import elapsed, since_epoch
from runtime_config.state import CLOSED, CONNECTING, STALE, SYNCED, Counters, Handle, State

log = logging.getLogger("runtime_config")


class Monitor:
    """The current state and counters. The feed writes, everybody reads.

    Callbacks run in one thread of their own, which starts with the first of them, so that none can delay the feed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.state = CONNECTING
        self._stale_since: float | None = None
        self.last_error: Exception | None = None
        self._counters = Counters()
        self._last_contact: float | None = None
        # With each callback what must live as long as it does: the store.
        self._listeners: dict[int, tuple[Callable[[State], None], object]] = {}
        self._watchers: dict[int, Callable[[State], None]] = {}
        self._next_listener = 0
        self._queue: queue.SimpleQueue[State | None] = queue.SimpleQueue()
        self._notifier: threading.Thread | None = None

    @property
    def counters(self) -> Counters:
        return replace(self._counters, last_contact=since_epoch(self._last_contact))

    @property
    def stale_since(self) -> float | None:
        return since_epoch(self._stale_since)

    @property
    def silence(self) -> float:
        """Seconds since the server last replied; infinite before it ever did."""
        last = self._last_contact
        return float("inf") if last is None else elapsed() - last

    def contact(self) -> None:
        """The server replied. Called for every reply, so it takes no lock."""
        self._last_contact = elapsed()

    def count(self, what: str) -> None:
        with self._changed:
            self._counters = replace(self._counters, **{what: getattr(self._counters, what) + 1})

    def become(self, state: State, error: Exception | None = None) -> None:
        """Enter a state; if it is the current one, only a new error is noted."""
        with self._changed:
            if error is not None:
                self.last_error = error
            if self.state is state or self.state is CLOSED or (state is STALE and self.state is CONNECTING):
                return
            self.state = state
            self._stale_since = elapsed() if state is STALE else None
            if state is SYNCED:
                self.last_error = None
            self._changed.notify_all()
            if self._listeners:
                self._queue.put(state)
            for watcher in list(self._watchers.values()):
                watcher(state)
        if state is STALE:
            log.warning("the store can no longer be followed, values may be old: %s", error)
        else:
            log.info("the store is %s", state.value)

    def wait_synced(self, seconds: float) -> None:
        """Raises DeadlineExceeded, or Closed."""
        with self._changed:
            self._changed.wait_for(self.synced, seconds)
            if not self.synced():
                raise self.not_synced(seconds)

    def synced(self) -> bool:
        """Whether the state is SYNCED. Raises Closed when it never will be again."""
        if self.state is CLOSED:
            raise errors.Closed("the store is closed")
        return self.state is SYNCED

    def not_synced(self, seconds: float) -> errors.DeadlineExceeded:
        return errors.DeadlineExceeded(f"still {self.state.value} after {seconds:.2f} s: {self.last_error}")

    def listen(self, callback: Callable[[State], None], keep: object = None) -> Handle:
        """Call back with each new state; `keep` is referred to as long as the callback is registered."""
        with self._changed:
            number = self._next_listener
            self._next_listener += 1
            self._listeners[number] = (callback, keep)
            if self._notifier is None and self.state is not CLOSED:
                self._notifier = threading.Thread(
                    target=self._notify, name="runtime-config-state", daemon=True
                )
                self._notifier.start()
        return Handle(lambda: self._forget(number))

    def watch(self, watcher: Callable[[State], None]) -> Callable[[], None]:
        """Call this with each new state, from within the change: it must not block. Returns what ends that."""
        with self._changed:
            number = self._next_listener
            self._next_listener += 1
            self._watchers[number] = watcher
        return lambda: self._forget(number)

    def _forget(self, number: int) -> None:
        with self._changed:
            self._listeners.pop(number, None)
            self._watchers.pop(number, None)

    def _notify(self) -> None:
        while (state := self._queue.get()) is not None:
            with self._changed:
                numbers = list(self._listeners)
            for number in numbers:
                listener = self._listeners.get(number)
                if listener is None:
                    continue
                try:
                    listener[0](state)
                except BaseException:  # other listeners and later states must not suffer from it
                    self.count("callback_errors")
                    log.exception("a state callback raised")
            listener = None

    def close(self, seconds: float) -> None:
        """Become CLOSED, notify the listeners, and end their thread; wait for it at most `seconds`."""
        self.become(CLOSED)
        self._queue.put(None)
        if self._notifier is not None and self._notifier is not threading.current_thread():
            self._notifier.join(seconds)
