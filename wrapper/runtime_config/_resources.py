"""What a store owns and has to release: connections, threads, subscriptions.

The threads of a store refer to this and to what is in it, never to the `ConfigStore`. So a store that is no longer
referred to is collected although its threads run, and its resources are released from here.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakSet

from runtime_config import errors
from runtime_config._etcd.channel import Channels
from runtime_config._feed.feed import Feed
from runtime_config._feed.inbox import Inbox
from runtime_config._monitor import Monitor
from runtime_config._owner import Owner
from runtime_config.state import CLOSED

log = logging.getLogger("runtime_config")

# All waits of a release together take at most this long.
SECONDS = 0.9


class Resources:
    """What one store owns. Safe to use from any thread."""

    def __init__(self, channels: Channels, feed: Feed, monitor: Monitor) -> None:
        self.owner = Owner()
        self.closed = False
        self._channels, self._feed, self._monitor = channels, feed, monitor
        self._lock = threading.Lock()
        self._subscriptions: WeakSet[Inbox] = WeakSet()
        self._threads: set[threading.Thread] = set()
        self._last: list[Callable[[float], None]] = []

    def check_open(self) -> None:
        """Raises Closed after the release, and in a forked process. Takes no lock."""
        self.owner.check()
        if self.closed:
            raise errors.Closed("the store is closed")

    def add(self, subscription: Inbox) -> None:
        """Close this subscription with the store. Raises Closed after that."""
        with self._lock:
            self.check_open()
            self._subscriptions.add(subscription)

    def forget(self, subscription: Inbox) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)

    def wait_for(self, thread: threading.Thread) -> None:
        """Wait for this thread when the store is closed."""
        with self._lock:
            self._threads = {one for one in self._threads if one.is_alive()} | {thread}

    def finally_call(self, end: Callable[[float], None]) -> None:
        """Call this at the end of the release, with the seconds that it may take."""
        self._last.append(end)

    def release(self) -> None:
        """Release everything within a second. Idempotent; does nothing in a forked process."""
        if not self.owner.here:
            return
        with self._lock:
            if self.closed:
                return
            self.closed = True
            subscriptions, threads = list(self._subscriptions), list(self._threads)
        deadline = time.monotonic() + SECONDS
        self._monitor.become(CLOSED)
        self._feed.stop(SECONDS)
        for subscription in subscriptions:
            subscription.shut()
        self._channels.close(max(0.0, deadline - time.monotonic()))
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    log.warning("a callback did not return; its thread %s is left behind", thread.name)
        self._monitor.close(max(0.0, deadline - time.monotonic()))
        for end in self._last:
            end(max(0.0, deadline - time.monotonic()))

    def release_in_background(self) -> None:
        """The same from a finalizer, which may run in any thread, in the middle of anything, with any lock held."""
        if self.closed or not self.owner.here or sys.is_finalizing():
            return
        with suppress(RuntimeError):  # no thread can be started any more: the process is about to end
            threading.Thread(target=self.release, name="runtime-config-end", daemon=True).start()
