"""The one watch of a store, and the thread that keeps it going. Delivers to every sink.

One stream covers the whole root, whatever the number of subscriptions: so a transaction is whole by
construction, fifty subscriptions cost one connection, and "has everything up to revision R been delivered?"
has one answer.

    position ──> check ──> open the watch at `cursor.next` ──> deliver, move the cursor, ... ──> the stream ends
                  │  ^                                                                            │
       history gone  └──────────────────────────── wait (backoff) <───────────────────────────────┘
       or another store: list everything, hand each sink a reset

Rules of this file: a watch is never opened without an explicit revision; only the end of a delivered
transaction moves the cursor (see `_cursor`); before a watch is resumed, a linearizable read proves that the
store is the same one and still has all history from the cursor on; listing again is tried for ever.
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from runtime_config import _messages, errors
from runtime_config._audit import GRACE, Audit, next_audit
from runtime_config._backoff import Backoff
from runtime_config._calls import CallFailed, Calls
from runtime_config._cursor import Cursor
from runtime_config._identity import LEFT, identify
from runtime_config._layout import Layout
from runtime_config._link import Link, Wire
from runtime_config._listing import Fetch, list_range
from runtime_config._messages import Entry
from runtime_config._sink import Named, Sink
from runtime_config._status import Verdict, final_error
from runtime_config._stream import Stream, Watchdog
from runtime_config.state import STALE, SYNCED, Board, log
from runtime_config.values import Reason

# After so many streams in a row that never answered a progress request, the server (or a proxy before it) is one that
# does not: then silence is no sign of death, and the stream is renewed without calling the store stale.
_MUTE_AFTER = 3


class Feed:
    """Follows the root from the moment it is started until it is stopped."""

    def __init__(self, link: Link, calls: Calls, layout: Layout, board: Board, *, dead_after: float) -> None:
        self._link, self._calls, self._layout, self._board = link, calls, layout, board
        self._seconds = min(5.0, max(1.0, dead_after))
        self._moved = threading.Condition()
        # Weak, so that a subscription that nobody refers to ends, and the store behind it with it.
        self._sinks: list[weakref.ref[Sink]] = []
        self._cursor: Cursor | None = None
        self._identity: bytes | None = None
        self._gap: Reason | None = None
        self._may_create = True
        self._silent_streams = 0
        self._fresh_token = False
        self._audit: Audit | None = None
        self._audit_due = next_audit(time.monotonic())
        self._deleted: dict[str, int] = {}
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._watchdog = Watchdog(dead_after)
        self._thread = threading.Thread(target=self._run, name="runtime-config-feed", daemon=True)

    # What other threads call

    def start(self) -> None:
        self._watchdog.start()
        self._thread.start()

    def add(self, sink: Sink) -> None:
        """Deliver to this sink from now on (see `_sink` for how it joins)."""
        with self._moved:
            self._sinks = [one for one in self._sinks if one() is not None]
            self._sinks.append(weakref.ref(sink))

    def remove(self, sink: Sink) -> None:
        with self._moved:
            self._sinks = [one for one in self._sinks if one() is not sink]

    def _present(self) -> list[Sink]:
        return [sink for one in self._sinks if (sink := one()) is not None]

    def wait_positioned(self, seconds: float) -> bool:
        """True once there is a cursor: only a listing that begins after that can be joined."""
        with self._moved:
            return self._moved.wait_for(lambda: self._cursor is not None or self._stopping.is_set(), seconds)

    def wait_revision(self, revision: int, seconds: float) -> bool:
        """True once everything up to `revision` has been handed to the sinks."""
        with self._moved:
            return self._moved.wait_for(lambda: self.revision >= revision or self._stopping.is_set(), seconds)

    @property
    def revision(self) -> int:
        """The last revision that was delivered whole."""
        return 0 if self._cursor is None else self._cursor.next - 1

    def again(self) -> None:
        """Go round once more: a sink has still to be joined."""
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def stop(self, seconds: float) -> None:
        """End the threads; never waits for the network. At most `seconds`."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        with self._moved:
            self._moved.notify_all()
        stream = self._stream
        if stream is not None:
            stream.cancel()
        self._link.close(max(0.0, deadline - time.monotonic()))
        if self._thread.ident is None:
            return  # it was never started
        for stop in (self._thread.join, self._watchdog.stop):
            stop(max(0.0, deadline - time.monotonic()))

    # The thread

    def _run(self) -> None:
        backoff = Backoff()
        connected_before = False
        while not self._stopping.is_set():
            began, before = time.monotonic(), self.revision
            try:
                with self._link.lease() as wire:
                    try:
                        self._prepare(wire)
                        if connected_before:
                            self._board.count("reconnects")
                        connected_before = True
                        failed: Exception = self._follow(wire)
                    except CallFailed as error:
                        failed = error
                    if self._stopping.is_set():
                        return
                    if isinstance(failed, _Renewed):
                        continue
                    self._link.failed(wire)
            except errors.Closed:
                return
            except Exception as error:  # a bug, here or below: never die silently, never spin
                log.exception("the feed failed in a way that it should not")
                failed = error
            self._ended(failed)
            backoff = backoff.after(time.monotonic() - began, moved=self.revision != before)
            self._stopping.wait(backoff.delay(random.random))

    def _ended(self, failed: Exception) -> None:
        error: Exception = failed
        if isinstance(failed, CallFailed) and failed.verdict in (Verdict.FINAL, Verdict.REAUTHENTICATE):
            error = final_error(failed.code, failed.details)
            if isinstance(error, (errors.PermissionDenied, errors.AuthenticationFailed)):
                self._refuse(error)
        self._board.become(STALE, error)
        log.debug("the stream ended: %s", failed)

    def _refuse(self, error: Exception) -> None:
        """A fresh token was refused as well: tell every subscriber, loudly. The feed keeps trying for later ones."""
        with self._moved:
            self._sinks = [weakref.ref(sink) for sink in self._present() if not sink.fail(error)]

    def _prepare(self, wire: Wire) -> None:
        """Find out where to go on: position the cursor, or check that it can be resumed, or list again."""
        if self._cursor is None:
            revision = self._identify(wire)
            with self._moved:
                self._cursor = Cursor(revision + 1)
                self._moved.notify_all()
            return
        if self._gap is None:
            self._gap = self._check(wire, self._cursor)
        if self._gap is not None:
            self._list_again(wire, self._cursor, self._gap)

    def _identify(self, wire: Wire) -> int:
        """Learn the store's identity, making it if nobody has yet; return the revision of that read."""

        def create(request: Any) -> bool:
            if not self._may_create:
                return False
            try:
                self._calls.once(wire, "Txn", request, self._seconds)
            except CallFailed as failed:
                error = final_error(failed.code, failed.details)
                if failed.verdict is not Verdict.FINAL or not isinstance(error, LEFT):
                    raise
                self._may_create = not isinstance(error, errors.PermissionDenied)
                return False
            return True

        self._identity, revision = identify(self._layout, lambda request: self._read(wire, request), create)
        return revision

    def _check(self, wire: Wire, cursor: Cursor) -> Reason | None:
        """Read the identity as it was at the last delivered revision: that needs the same store and its history.

        Reading at `next - 1`, rather than just watching from `next`, also finds the case that history was
        dropped up to exactly `next`: a watch from there is accepted, and servers before 3.5.18 lose a delete
        at that very revision.
        """
        try:
            reply = self._read(wire, _messages.read(self._layout.identity, revision=cursor.next - 1))
        except CallFailed as failed:
            if failed.verdict is Verdict.COMPACTED:
                return "compacted"
            if failed.verdict is Verdict.FUTURE:
                return "store_replaced"
            raise
        identity = reply.kvs[0].value if reply.kvs else None
        return "store_replaced" if identity != self._identity else None

    def _list_again(self, wire: Wire, cursor: Cursor, reason: Reason) -> None:
        known = self._identity
        self._identify(wire)
        if known is not None and self._identity != known:
            reason = "store_replaced"
        entries, revision = list_range(
            lambda request: self._read(wire, request), self._layout.whole, self._layout
        )
        log.warning(
            "changes between revisions %d and %d cannot all be told: %s", cursor.next - 1, revision, reason
        )
        self._board.count("resyncs")
        self._reset(cursor, reason, entries, revision)

    def _reset(
        self, cursor: Cursor, reason: Reason, entries: Sequence[tuple[str, Entry]], revision: int
    ) -> None:
        with self._moved:
            for sink in self._present():
                sink.reset(reason, entries, revision)
            cursor.restart(revision + 1)
            self._gap = None
            self._moved.notify_all()

    def _read(self, wire: Wire, request: Any) -> Any:
        reply = self._calls.once(wire, "Range", request, self._seconds)
        self._watchdog.word()  # while the feed's thread reads, nobody takes replies off the stream
        return reply

    def _follow(self, wire: Wire) -> Exception:
        """Open the watch and deliver until it ends; return why it did."""
        cursor = self._cursor
        assert cursor is not None
        metadata = self._calls.tokens.metadata(wire, self._seconds, leader=True)
        stream = Stream(wire, _messages.watch(self._layout.whole, cursor.next), metadata)
        self._stream = stream
        self._watchdog.guard(stream)
        answered = opened = False
        try:
            if self._stopping.is_set():
                return errors.Closed("the store is closed")
            for raw in stream.replies():
                self._watchdog.word()
                self._board.contact()
                reply = _messages.watch_reply(raw)
                if reply.compact_revision:
                    self._gap = "compacted"
                    return CallFailed("OUT_OF_RANGE", f"history up to {reply.compact_revision} is gone")
                if reply.canceled:
                    return self._refused(reply.reason, metadata)
                if reply.created:
                    opened = True
                    self._fresh_token = False
                    self._board.become(SYNCED)
                    self._join_waiting(wire)
                elif reply.changes:
                    self._deliver(cursor, reply)
                else:
                    answered = True
                    self._silent_streams = 0
                if time.monotonic() >= self._audit_due and not self._adds_up(wire):
                    return CallFailed("DATA_LOSS", "the server did not send a change that it has made")
            return CallFailed("UNAVAILABLE", "the server ended the stream")
        except CallFailed as failed:
            if self._watchdog.gave_up:
                if opened and not answered:
                    self._silent_streams += 1
                    if self._silent_streams > _MUTE_AFTER:
                        return _Renewed("progress requests are not answered here; the stream was renewed")
                return CallFailed("UNAVAILABLE", "nothing was heard from the server: the link is dead")
            return failed
        finally:
            self._watchdog.release()
            self._stream = None
            self._audit = None
            cursor.stream_ended()
            stream.close()

    def _refused(self, reason: str, metadata: list[tuple[str, str]]) -> Exception:
        """The server would not watch for us. A stale token is one reason, and looks like a missing permission."""
        if "auth token" in reason or "permission denied" in reason:
            if not self._fresh_token and self._calls.tokens.renew(metadata):
                self._fresh_token = True
                return CallFailed("UNAVAILABLE", f"the token is not valid any more: {reason}")
            self._fresh_token = False
            code = "PERMISSION_DENIED" if "permission denied" in reason else "UNAUTHENTICATED"
            return CallFailed(code, f"the server refused the watch: {reason}")
        return CallFailed("UNAVAILABLE", f"the server refused the watch: {reason}")

    def _deliver(self, cursor: Cursor, reply: _messages.WatchReply) -> None:
        for batch in cursor.take(reply.changes, more=reply.more):
            named: list[Named] = []
            for change in batch.changes:
                name = self._layout.name(change.key)
                if name is not None:
                    named.append((name, change))
                    if change.value is None and self._audit is not None:
                        self._deleted[name] = change.revision
                elif change.key == self._layout.identity:
                    self._identity = change.value
            with self._moved:
                for sink in self._present():
                    sink.batch(batch.revision, named)
                cursor.delivered(batch.revision)
                self._moved.notify_all()

    def _adds_up(self, wire: Wire) -> bool:
        """The audit, in two steps a while apart: list, then compare. False if the server has lost a change."""
        if self._audit is None:
            self._deleted.clear()
            self._audit, _ = self.listed(lambda request: self._read(wire, request))
            self._audit_due = time.monotonic() + GRACE
            return True
        audit, self._audit = self._audit, None
        self._audit_due = next_audit(time.monotonic())
        lost = self.missing(audit)
        if lost:
            log.error(
                "changes of %s never came, although the store has made them; listing again", ", ".join(lost)
            )
            self._board.count("audits_failed")
            self._gap = "compacted"
        return not lost

    def listed(self, fetch: Fetch) -> tuple[Audit, int]:
        """Every name with its revision, and the revision of the last change of anything that still exists."""
        newest = 0

        def noting(request: Any) -> Any:
            nonlocal newest
            reply = fetch(request)
            newest = max([newest, *(kv.mod_revision for kv in reply.kvs)])
            return reply

        entries, revision = list_range(noting, self._layout.whole, self._layout, keys_only=True)
        return Audit({name: entry.revision for name, entry in entries}, revision), newest

    def missing(self, audit: Audit) -> list[str]:
        """What the sinks were not told of, of what is listed."""
        with self._moved:
            return [name for sink in self._present() for name in sink.missing(audit, self._deleted)]

    def _join_waiting(self, wire: Wire) -> None:
        """Start the sinks whose own listing did not succeed."""
        with self._moved:
            waiting = [sink for sink in self._present() if not sink.joined]
        for sink in waiting:
            joined = False
            while not joined:
                joined = sink.join(*list_range(lambda r: self._read(wire, r), sink.cover.span, self._layout))


class _Renewed(Exception):
    """The stream was opened anew as a matter of routine; nothing is wrong."""
