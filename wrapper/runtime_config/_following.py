"""Subscriptions, callbacks and live values of one store: how they start, and how far they have come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from runtime_config import errors
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.listing import list_revisions
from runtime_config._etcd.reader import Reader
from runtime_config._etcd.records import Entry
from runtime_config._feed.audit import Audit
from runtime_config._feed.feed import Feed
from runtime_config._feed.inbox import Inbox
from runtime_config._feed.sink import Cover, Sink
from runtime_config._monitor import Monitor
from runtime_config._numbers import shown
from runtime_config._resources import Resources
from runtime_config.keys import Key, Section
from runtime_config.live import Live
from runtime_config.state import Handle
from runtime_config.subscription import Subscription, deliver_in_thread
from runtime_config.values import Item

T = TypeVar("T")
log = logging.getLogger("runtime_config")

# A revision that does not come through the stream within this time may belong to a write outside the root.
ELSEWHERE = 0.2


class Following:
    """What `ConfigStore` does to follow keys; all times are in seconds, and have been checked."""

    def __init__(
        self, layout: Layout, reader: Reader, feed: Feed, monitor: Monitor, resources: Resources
    ) -> None:
        self._layout, self._reader, self._feed = layout, reader, feed
        self._monitor, self._resources = monitor, resources
        self._lock = threading.Lock()
        self._lives: dict[str, Live[Any]] = {}

    def listed(
        self, cover: Cover, seconds: float, *, stale_ok: bool = False
    ) -> tuple[list[tuple[str, Entry]], int]:
        """What the store holds of the covered names, and at which revision."""
        entries, revision = self._reader.entries(cover.span, seconds, stale_ok=stale_ok)
        return [(name, entry) for name, entry in entries if name in cover], revision

    def subscribe(
        self,
        targets: Sequence[Key[Any] | Section],
        seconds: float,
        on_close: Callable[[Inbox], None],
    ) -> Subscription:
        """A subscription that has its snapshot, or gets it from the feed if that takes longer than `seconds`."""
        subscription = Subscription(
            Cover.of(targets, self._layout), on_close=on_close, on_overflow=self.count_overflow
        )
        self.enter(subscription)
        self.start(subscription, seconds)
        return subscription

    def cover(self, targets: Sequence[Key[Any] | Section]) -> Cover:
        """What these targets cover. Raises TypeError for anything but keys and sections, ValueError for none at all."""
        return Cover.of(targets, self._layout)

    def count_overflow(self) -> None:
        self._monitor.count("overflows")

    def enter(self, inbox: Inbox) -> None:
        """From now on everything is delivered to this, and it is closed with the store. Raises Closed after that."""
        self._resources.add(inbox)
        self._feed.sinks.add(inbox)

    def start(self, sink: Sink, seconds: float) -> None:
        """Start a sink that has entered here and now if the server answers in time; otherwise the feed will."""
        deadline = time.monotonic() + seconds
        try:
            if self._feed.sinks.wait_positioned(seconds):
                while not sink.joined:
                    sink.join(*self.listed(sink.cover, max(0.001, deadline - time.monotonic())))
        except errors.ConfigError as error:
            log.info("the subscription starts later: %s", error)
        finally:
            # Also after Ctrl-C, or when whoever asked has given up: it was promised to whoever holds the sink.
            self.start_later(sink)

    def start_later(self, sink: Sink) -> None:
        """Leave the start of a sink to the feed, unless it has started."""
        if not sink.joined:
            self._feed.reopen()

    def forget(self, inbox: Inbox) -> None:
        """The subscription is closed."""
        self._feed.sinks.remove(inbox)
        self._resources.forget(inbox)

    def call_back(
        self,
        targets: Sequence[Key[Any] | Section],
        callback: Callable[[Item], None],
        subscription: Subscription,
    ) -> Handle:
        """Call back with each item of this subscription to `targets`, in a thread of its own."""
        handle = Handle(subscription.close)
        on_error, on_end = self.reports(targets, handle)
        self._resources.wait_for(deliver_in_thread(subscription, callback, on_error, on_end))
        return handle

    def reports(
        self, targets: Sequence[Key[Any] | Section], handle: Handle
    ) -> tuple[Callable[[BaseException], None], Callable[[BaseException], None]]:
        """What to call with an exception of a callback, and with what ends the calls."""

        def on_error(_: BaseException) -> None:
            self._monitor.count("callback_errors")
            log.exception("the callback for %s raised", ", ".join(shown(target) for target in targets))

        def on_end(error: BaseException) -> None:
            handle.error = error
            log.error(
                "no more changes of %s are delivered: %s",
                ", ".join(shown(target) for target in targets),
                error,
            )

        return on_error, on_end

    def live(
        self, key: Key[T], seconds: float, on_change: Callable[[Key[T], Callable[[Item], None]], Handle]
    ) -> Live[T]:
        """The live value of a key, made if there is none. `on_change` registers a callback for a key."""
        with self._lock:
            found = self._lives.get(key.name)
            fresh = found is None
            if found is None:
                found = self._lives[key.name] = Live(
                    key,
                    Cover.of([key], self._layout),
                    silence=lambda: self._monitor.silence,
                    on_change=on_change,
                )
        if fresh:
            self._feed.sinks.add(found)
            self.start(found, seconds)
        return found

    def wait_revision(self, revision: int, seconds: float) -> None:
        """Return once everything up to `revision` was delivered. Raises DeadlineExceeded, or Closed."""
        deadline = time.monotonic() + seconds
        sinks = self._feed.sinks
        while not sinks.wait_revision(revision, min(ELSEWHERE, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise self.not_delivered(revision, seconds)
            if self.nothing_between(revision, deadline):
                return
        if sinks.revision < revision:
            raise errors.Closed("the store is closed")

    def not_delivered(self, revision: int, seconds: float) -> errors.DeadlineExceeded:
        return errors.DeadlineExceeded(
            f"revision {revision} was not delivered within {seconds:.2f} s; the last one is {self._feed.sinks.revision}"
        )

    def nothing_between(self, revision: int, deadline: float) -> bool:
        """True if the root did not change between what was delivered and `revision`: that was a write elsewhere."""
        try:
            held, listed_at, newest = list_revisions(self._reader.fetch_until(deadline), self._layout)
        except errors.ConfigError:
            return False
        if listed_at < revision or newest > self._feed.sinks.revision:
            return False
        return not self._feed.missing(Audit(held, listed_at))
