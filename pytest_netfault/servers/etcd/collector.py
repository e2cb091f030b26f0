"""Keeps the store's whole log as it is written, so that it stays whole when the store forgets.

A thread for each member of the store (one, but for a cluster) watches every key from a known revision on. Each
transaction raises etcd's revision by exactly one and changes at least one key, so the revisions seen must be
without a gap: that is checked, and what cannot be made whole is an error, never a shorter log.

After a broken stream (a restart) the watch starts again at the last revision that was read, that one included, and
compares it with what was read before: a store that was replaced, or that lost what it had acknowledged, is detected. So
is a member of a cluster whose history differs from that of the others.

    watching --stream ends--> waiting --a moment, or wake()--> watching
        |                                                          |
        +--a revision is gone for ever, or differs--> failed   close() ends it from anywhere

The threads are owned by the Collector and end with it. Readers wait for events, for a limited time.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd.gateway import CALL_SECONDS, Gateway, WatchStream
from pytest_netfault.servers.etcd.log import LogEvent, LogRevision, read_events

__all__ = ["Collector"]

# Pauses between attempts to watch again, in seconds: refused attempts on loopback cost next to nothing.
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25


class Collector:
    """The log of one store from ``after_revision`` (exclusive) on.

    Args:
        gateway: where the store's revision is read.
        after_revision: the revision that the log starts after; 1 is that of an empty store.
        members: where the store is watched, if that is not one place: whichever is first tells the log.
    """

    def __init__(self, gateway: Gateway, after_revision: int, *, members: Sequence[Gateway] = ()) -> None:
        self._gateway = gateway
        self._base = after_revision
        self._held: list[LogRevision] = []
        self._failure: str | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._watchers = [_Watcher(self, member) for member in members or (gateway,)]
        for watcher in self._watchers:
            watcher.thread.start()

    @property
    def revision(self) -> int:
        """The last revision held."""
        return self._base + len(self._held)

    def read(self, after_revision: int, up_to: int, *, timeout: float = CALL_SECONDS) -> list[LogRevision]:
        """Everything held after ``after_revision``, once all up to ``up_to`` is held.

        Raises:
            ValueError: the log started only later than ``after_revision``.
            ServerError: part of the log is gone for ever, or has not come within ``timeout`` seconds.
        """
        if isinstance(after_revision, bool) or not isinstance(after_revision, int):
            raise TypeError(f"after_revision must be a whole number, not {after_revision!r}")
        if after_revision < self._base and not (self._base == 1 and after_revision >= 0):
            raise ValueError(
                f"after_revision={after_revision} is too early: the log is kept from revision {self._base} on"
            )
        self.wait_for(up_to, timeout=timeout)
        with self._changed:
            return self._held[max(after_revision - self._base, 0) :]

    def wait_for(self, revision: int, *, timeout: float = CALL_SECONDS) -> None:
        """Return once everything up to ``revision`` is held; errors as in `read`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if self._failure is not None:
                    raise ServerError(self._failure)
                if self.revision >= revision:
                    return
                if self._closing:
                    raise ServerError("the log is no longer read: this etcd was closed")
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise ServerError(
                        f"the log of etcd at {self._gateway.host}:{self._gateway.port} was read up to "
                        f"revision {self.revision} of {revision} within {timeout:g} s: "
                        + "; ".join(watcher.trouble for watcher in self._watchers)
                    )
                self._changed.wait(remaining)

    def current(self, *, timeout: float = CALL_SECONDS) -> int:
        """The store's revision, read linearizably; a store that fell behind its own log is a ServerError."""
        shown = self.revision  # read first: the store may move on, but never back
        now = self._gateway.revision(timeout=timeout)
        if now < shown:
            self.fail(
                f"etcd is at revision {now} but had shown revision {shown} before: "
                "its store was replaced, or it lost what it had acknowledged"
            )
            raise ServerError(self._failure or "")
        return now

    def wake(self) -> None:
        """Try to watch now rather than after the pause: a server is known to serve again."""
        for watcher in self._watchers:
            watcher.wake.set()

    def close(self) -> None:
        """Stop reading, at once; what is held stays readable up to there. Idempotent."""
        with self._changed:
            self._closing = True
            streams = [watcher.stream for watcher in self._watchers]
            self._changed.notify_all()
        self.wake()
        for stream in streams:
            if stream is not None:
                stream.close()
        for watcher in self._watchers:
            watcher.thread.join(timeout=1.0)

    # -- what watchers call --

    def watch_from(self, gateway: Gateway, *, overlap: bool) -> WatchStream | None:
        """A watch from what is held on, its last revision included if ``overlap``; None: it is over."""
        with self._changed:
            if self._closing or self._failure is not None:
                return None
            return gateway.watch(self.revision if overlap and self._held else self.revision + 1)

    def hold(self, revisions: Iterable[LogRevision]) -> None:
        """Take transactions in; ValueError if they do not continue what is held, or contradict it."""
        with self._changed:
            for new in revisions:
                self._hold(new)
            self._changed.notify_all()

    def compacted(self, revision: int) -> None:
        """Take notice that a watch could not start because of a compaction at ``revision``."""
        with self._changed:
            if revision > self.revision + 1:
                self.fail(
                    f"etcd was compacted at revision {revision} by someone else while its log was held only "
                    f"up to revision {self.revision}, so what happened in between cannot be known"
                )

    def fail(self, why: str) -> None:
        """Give the log up: what is missing will never come. Readers get ``why``."""
        with self._changed:
            self._failure = self._failure or why
            self._changed.notify_all()

    def _hold(self, new: LogRevision) -> None:
        expected = self.revision + 1
        if new.revision == expected:
            self._held.append(new)
        elif new.revision > expected:
            raise ValueError(f"revision {new.revision} came where {expected} was due")
        elif new.revision > self._base:
            known = self._held[new.revision - self._base - 1]
            # A compaction may have taken deletes out of it since, so a part of what is held is right too.
            if not set(new.events) <= set(known.events):
                self.fail(
                    f"etcd now shows {new} but had shown {known} before: "
                    "its store was replaced, or it lost what it had acknowledged"
                )
                raise ValueError("the store is another one")


class _Watcher:
    """One thread that watches at one place, again and again, until the collector is over."""

    def __init__(self, collector: Collector, gateway: Gateway) -> None:
        self._collector = collector
        self._gateway = gateway
        self._partial: list[tuple[int, LogEvent]] = []
        self._overlap = True
        self.stream: WatchStream | None = None
        self.trouble = "not connected yet"
        self.wake = threading.Event()
        self.thread = threading.Thread(target=self._run, name="netfault etcd log", daemon=True)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            before = self._collector.revision
            with self._collector._changed:  # so that close() sees each stream that is opened
                stream = self._collector.watch_from(self._gateway, overlap=self._overlap)
                self.stream = stream
            if stream is None:
                return
            self._partial.clear()
            try:
                for reply in stream.replies():
                    self._take(reply)
                self.trouble = "the watch ended"
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.trouble = f"the watch failed ({error})"
            except Exception as error:
                self._collector.fail(f"the log cannot be read: {error!r}")
                raise
            pause = _FIRST_PAUSE if self._collector.revision > before else min(pause * 2, _LONGEST_PAUSE)
            self.wake.wait(pause)
            self.wake.clear()

    def _take(self, reply: Mapping[str, Any]) -> None:
        if reply.get("canceled"):
            compacted = int(reply.get("compact_revision", 0))
            self._collector.compacted(compacted)
            # If so, the last revision held is forgotten by the store: go on without looking at it again.
            self._overlap = compacted == 0
            raise ValueError(
                f"etcd canceled it, compacted at {compacted}, {reply.get('cancel_reason', '')!r}"
            )
        self._partial += read_events(reply.get("events", ()))
        if reply.get("fragment"):
            return  # the rest of the last transaction comes with the next reply
        whole: dict[int, list[LogEvent]] = {}
        for revision, event in self._partial:
            whole.setdefault(revision, []).append(event)
        self._partial.clear()
        self._overlap = True
        self._collector.hold(LogRevision(revision, tuple(whole[revision])) for revision in sorted(whole))
