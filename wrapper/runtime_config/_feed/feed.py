"""The one watch of a store, and the thread that keeps it going. Delivers to every sink.

One stream covers the whole root, whatever the number of subscriptions: so a transaction is whole by
construction, fifty subscriptions cost one connection, and "has everything up to revision R been delivered?"
has one answer.

    position ──> check ──> open the watch at `cursor.next` ──> deliver, advance the cursor, ... ──> the stream ends
                  │  ^                                                                               │
   history is gone,  └──────────────────────────── wait (backoff) <──────────────────────────────────┘
   or another store: list everything, deliver a reset to each sink

Invariants: a watch is never opened without an explicit revision; only the end of a delivered transaction
advances the cursor (see `cursor`); before a watch is resumed, a linearizable read proves that the
store is the same one and still has all history from the cursor on (see `continuity`); listing is retried for ever.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Any

from runtime_config import errors
from runtime_config._etcd import messages
from runtime_config._etcd.backoff import Backoff
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.channel import Channel, Channels
from runtime_config._etcd.grpc_status import CallFailed, Verdict, final_error
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.listing import list_range, list_revisions
from runtime_config._etcd.records import WatchReply
from runtime_config._feed.audit import Audit, Auditor
from runtime_config._feed.continuity import Continuity
from runtime_config._feed.cursor import Cursor
from runtime_config._feed.sink import Named
from runtime_config._feed.sinks import Sinks
from runtime_config._feed.stream import Stream
from runtime_config._feed.watchdog import Watchdog
from runtime_config._monitor import Monitor
from runtime_config.state import STALE, SYNCED

log = logging.getLogger("runtime_config")

# After so many consecutive streams that never answered a progress request, the server (or a proxy in front of it) does
# not answer them at all: then silence is no sign of death, and the stream is renewed without calling the store stale.
_UNANSWERED_STREAMS = 3


class Feed:
    """Follows the root from the moment it is started until it is stopped."""

    def __init__(
        self, channels: Channels, calls: Calls, layout: Layout, monitor: Monitor, *, dead_after: float
    ) -> None:
        self._channels, self._calls, self._layout, self._monitor = channels, calls, layout, monitor
        self._seconds = min(5.0, max(1.0, dead_after))
        self.sinks = Sinks()
        self._continuity = Continuity(calls, layout, self._read, self._seconds)
        self._auditor = Auditor(time.monotonic())
        self._unanswered_streams = 0
        self._fresh_token = False
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._watchdog = Watchdog(dead_after)
        self._thread = threading.Thread(target=self._run, name="runtime-config-feed", daemon=True)

    # Called by other threads

    def start(self) -> None:
        self._watchdog.start()
        self._thread.start()

    def reopen(self) -> None:
        """Open the stream again, which joins the sinks that are still waiting."""
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def missing(self, audit: Audit) -> list[str]:
        """Names in the listing with a change that the sinks did not receive."""
        return self.sinks.missing(audit, self._auditor.deleted)

    def stop(self, seconds: float) -> None:
        """End the threads, within `seconds`; never waits for the network."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        self.sinks.stop()
        self.reopen()
        self._channels.close(max(0.0, deadline - time.monotonic()))
        if self._thread.ident is None:
            return  # it was never started
        for stop in (self._thread.join, self._watchdog.stop):
            stop(max(0.0, deadline - time.monotonic()))

    # The thread

    def _run(self) -> None:
        backoff = Backoff()
        connected_before = False
        while not self._stopping.is_set():
            began, before = time.monotonic(), self.sinks.revision
            try:
                with self._channels.lease() as channel:
                    try:
                        cursor = self._prepare(channel)
                        if connected_before:
                            self._monitor.count("reconnects")
                        connected_before = True
                        failed: Exception = self._follow(channel, cursor)
                    except CallFailed as error:
                        failed = error
                    if self._stopping.is_set():
                        return
                    if isinstance(failed, _Renewed):
                        continue
                    self._channels.failed(channel)
            except errors.Closed:
                return
            except Exception as error:  # a bug, here or below: never end silently, never spin
                log.exception("the feed failed in an unexpected way")
                failed = error
            self._lost(failed)
            backoff = backoff.after(time.monotonic() - began, moved=self.sinks.revision != before)
            self._stopping.wait(backoff.delay(random.random))

    def _lost(self, failed: Exception) -> None:
        error: Exception = failed
        if isinstance(failed, CallFailed) and failed.verdict in (Verdict.FINAL, Verdict.REAUTHENTICATE):
            error = final_error(failed.code, failed.details)
            if isinstance(error, (errors.PermissionDenied, errors.AuthenticationFailed)):
                # A fresh token was refused as well. The feed keeps trying, for later subscribers.
                self.sinks.fail(error)
        self._monitor.become(STALE, error)
        log.debug("the stream ended: %s", failed)

    def _prepare(self, channel: Channel) -> Cursor:
        """Find out where to continue: position the cursor, or check that it can be resumed, or list again."""
        cursor = self.sinks.cursor
        if cursor is None:
            self.sinks.start_at(self._continuity.identify(channel))
            cursor = self.sinks.cursor
            assert cursor is not None
            return cursor
        known = self._continuity.gap
        self._continuity.check(channel, cursor.next - 1)
        if known is None and self._continuity.gap == "compacted" and self.sinks.catch_up(cursor):
            # What is gone lies before the listings that all sinks have started from: none of them misses anything.
            self._continuity.gap = None
            self._continuity.check(channel, cursor.next - 1)
        if self._continuity.gap is not None:
            self._list_again(channel, cursor)
        return cursor

    def _list_again(self, channel: Channel, cursor: Cursor) -> None:
        reason = self._continuity.identify_again(channel)
        entries, revision = list_range(
            lambda request: self._read(channel, request), self._layout.whole, self._layout
        )
        log.warning(
            "not all changes between revisions %d and %d can be delivered: %s",
            cursor.next - 1,
            revision,
            reason,
        )
        self._monitor.count("resyncs")
        self.sinks.reset(cursor, reason, entries, revision)
        self._continuity.gap = None

    def _read(self, channel: Channel, request: Any) -> Any:
        reply = self._calls.once(channel, "Range", request, self._seconds)
        self._watchdog.replied()  # while the feed's thread reads, nobody takes replies off the stream
        return reply

    def _follow(self, channel: Channel, cursor: Cursor) -> Exception:
        """Open the watch and deliver until it ends; return why it did."""
        metadata = self._calls.tokens.metadata(channel, self._seconds, leader=True)
        stream = Stream(channel, messages.watch(self._layout.whole, cursor.next), metadata)
        self._stream = stream
        self._watchdog.guard(stream)
        answered = opened = False
        try:
            if self._stopping.is_set():
                return errors.Closed("the store is closed")
            for raw in stream.replies():
                self._watchdog.replied()
                self._monitor.contact()
                reply = messages.watch_reply(raw)
                if reply.compact_revision:  # the check before the next watch finds the gap, if it is one
                    return CallFailed("OUT_OF_RANGE", f"history up to {reply.compact_revision} is gone")
                if reply.canceled:
                    return self._refused(reply.reason, metadata)
                if reply.created:
                    opened = True
                    self._fresh_token = False
                    self._monitor.become(SYNCED)
                    self._join_waiting(channel)
                elif reply.changes:
                    self._deliver(cursor, reply)
                else:
                    answered = True
                    self._unanswered_streams = 0
                if self._auditor.due(time.monotonic()) and not self._audit(channel):
                    return CallFailed("DATA_LOSS", "the server did not send a change that it has made")
            return CallFailed("UNAVAILABLE", "the server ended the stream")
        except CallFailed as failed:
            if not self._watchdog.gave_up:
                return failed
            if opened and not answered:
                self._unanswered_streams += 1
                if self._unanswered_streams > _UNANSWERED_STREAMS:
                    return _Renewed("progress requests are not answered here; the stream was renewed")
            return CallFailed("UNAVAILABLE", "no reply came from the server: the link is dead")
        finally:
            self._watchdog.release()
            self._stream = None
            self._auditor.abandon()
            cursor.stream_ended()
            stream.close()

    def _refused(self, reason: str, metadata: list[tuple[str, str]]) -> Exception:
        """The server refused the watch. An expired token is one reason, and looks like a missing permission."""
        if "auth token" in reason or "permission denied" in reason:
            if not self._fresh_token and self._calls.tokens.renew(metadata):
                self._fresh_token = True
                return CallFailed("UNAVAILABLE", f"the token is no longer valid: {reason}")
            self._fresh_token = False
            code = "PERMISSION_DENIED" if "permission denied" in reason else "UNAUTHENTICATED"
            return CallFailed(code, f"the server refused the watch: {reason}")
        return CallFailed("UNAVAILABLE", f"the server refused the watch: {reason}")

    def _deliver(self, cursor: Cursor, reply: WatchReply) -> None:
        for batch in cursor.take(reply.changes, more=reply.more):
            named: list[Named] = []
            for change in batch.changes:
                name = self._layout.name(change.key)
                if name is not None:
                    named.append((name, change))
                    if change.value is None:
                        self._auditor.note_delete(name, change.revision)
                elif change.key == self._layout.identity:
                    self._continuity.identity = change.value
            self.sinks.deliver(cursor, batch.revision, named)

    def _audit(self, channel: Channel) -> bool:
        """One step of the audit: list, or compare. False if the server has lost a change."""
        if not self._auditor.pending:
            held, revision, _ = list_revisions(lambda request: self._read(channel, request), self._layout)
            self._auditor.begin(Audit(held, revision), time.monotonic())
            return True
        lost = self.missing(self._auditor.take(time.monotonic()))
        if lost:
            log.error("changes of %s never came, although the store has them; listing again", ", ".join(lost))
            self._monitor.count("audits_failed")
            self._continuity.gap = "compacted"
        return not lost

    def _join_waiting(self, channel: Channel) -> None:
        """Start the sinks whose own listing did not succeed."""
        for sink in self.sinks.waiting():
            joined = False
            while not joined:
                joined = sink.join(
                    *list_range(lambda r: self._read(channel, r), sink.cover.span, self._layout)
                )


class _Renewed(Exception):
    """The stream was opened anew as a matter of routine; nothing is wrong."""
