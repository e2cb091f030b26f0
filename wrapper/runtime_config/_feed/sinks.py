"""Everything that the feed delivers to, and how far it has delivered."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence

from runtime_config._etcd.records import Entry
from runtime_config._feed.audit import Audit
from runtime_config._feed.cursor import Cursor
from runtime_config._feed.sink import Named, Sink
from runtime_config.values import Reason


class Sinks:
    """The sinks of one feed. The feed's thread delivers; other threads register sinks and wait for revisions."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # Weak, so that a subscription that nobody refers to ends, and the store behind it with it.
        self._sinks: list[weakref.ref[Sink]] = []
        self._stopped = False
        self._watchers: dict[int, tuple[int, Callable[[], None]]] = {}
        self._next_watcher = 0
        #: Written by the feed's thread only. None until the feed has reached the store for the first time.
        self.cursor: Cursor | None = None

    @property
    def revision(self) -> int:
        """The last revision that was delivered completely."""
        return 0 if self.cursor is None else self.cursor.next - 1

    def add(self, sink: Sink) -> None:
        """Deliver to this sink from now on (see `sink` for how it joins)."""
        with self._changed:
            self._sinks = [one for one in self._sinks if one() is not None]
            self._sinks.append(weakref.ref(sink))

    def remove(self, sink: Sink) -> None:
        with self._changed:
            self._sinks = [one for one in self._sinks if one() is not sink]

    def waiting(self) -> list[Sink]:
        """Those whose own listing did not succeed."""
        with self._changed:
            return [sink for sink in self._alive() if not sink.joined]

    def _alive(self) -> list[Sink]:
        return [sink for one in self._sinks if (sink := one()) is not None]

    # Delivering

    def start_at(self, revision: int) -> None:
        """The feed has reached the store; deliver what comes after this revision."""
        with self._changed:
            self.cursor = Cursor(revision + 1)
            self._moved()

    def deliver(self, cursor: Cursor, revision: int, changes: Sequence[Named]) -> None:
        """Deliver one transaction to every sink, and only then advance the cursor."""
        with self._changed:
            for sink in self._alive():
                sink.batch(revision, changes)
            cursor.delivered(revision)
            self._moved()

    def reset(
        self, cursor: Cursor, reason: Reason, entries: Sequence[tuple[str, Entry]], revision: int
    ) -> None:
        """Deliver a listing that replaces whatever was delivered before."""
        with self._changed:
            for sink in self._alive():
                sink.reset(reason, entries, revision)
            cursor.restart(revision + 1)
            self._moved()

    def catch_up(self, cursor: Cursor) -> bool:
        """Move the cursor to what every sink has from its own listing; False if that is not ahead of it.

        A sink that has not started yet may have listed before that: it lists again.
        """
        with self._changed:
            listed = [at for sink in self._alive() if (at := sink.listed_at()) is not None]
            if not listed or min(listed) < cursor.next:
                return False
            cursor.restart(min(listed) + 1)
            self._moved()
            return True

    def fail(self, error: Exception) -> None:
        """The server refuses to serve this store, for good: every sink learns it, and most end."""
        with self._changed:
            self._sinks = [weakref.ref(sink) for sink in self._alive() if not sink.fail(error)]

    def missing(self, audit: Audit, deleted: dict[str, int]) -> list[str]:
        """Names in the listing with a change that some sink did not receive."""
        with self._changed:
            return [name for sink in self._alive() for name in sink.missing(audit, deleted)]

    # Waiting

    def _moved(self) -> None:
        self._changed.notify_all()
        for revision, watcher in list(self._watchers.values()):
            if self.reached(revision):
                watcher()

    def watch(self, revision: int, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call this when everything up to `revision` has been delivered, or nothing will be any more.

        It is called from within the delivery, possibly more than once, and must not block. Returns what ends that.
        """
        with self._changed:
            number = self._next_watcher
            self._next_watcher += 1
            self._watchers[number] = (revision, watcher)
            if self.reached(revision):
                watcher()
        return lambda: self._unwatch(number)

    def _unwatch(self, number: int) -> None:
        with self._changed:
            self._watchers.pop(number, None)

    def reached(self, revision: int) -> bool:
        """Whether everything up to `revision` has been delivered, or nothing will be any more."""
        return self._stopped or self.revision >= revision

    def wait_positioned(self, seconds: float) -> bool:
        """True once there is a cursor: only a listing that begins after that can be joined."""
        with self._changed:
            return self._changed.wait_for(lambda: self.cursor is not None or self._stopped, seconds)

    def wait_revision(self, revision: int, seconds: float) -> bool:
        """True once everything up to `revision` has been delivered to the sinks, or nothing will be any more."""
        with self._changed:
            return self._changed.wait_for(lambda: self.reached(revision), seconds)

    def stop(self) -> None:
        """End every wait."""
        with self._changed:
            self._stopped = True
            self._moved()
