"""The feed against a server that misbehaves in every way that real ones have: each reply is the test's own.

The fake stands where gRPC's stubs stand, and speaks the real messages.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from runtime_config import (
    STALE,
    SYNCED,
    Changes,
    Deleted,
    Key,
    PermissionDenied,
    Resynced,
    Section,
    Snapshot,
)
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.messages import rpc
from runtime_config._etcd.records import Entry
from runtime_config._etcd.tokens import Tokens
from runtime_config._feed import audit
from runtime_config._feed.feed import Feed
from runtime_config._feed.sink import Cover
from runtime_config._monitor import Monitor
from runtime_config.compat import etcd3
from runtime_config.subscription import Subscription

LAYOUT = Layout("/r")
LIMIT = Key("feed.limit", int)
SECONDS = 30.0


class Status(grpc.RpcError):
    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self._code, self._details = getattr(grpc.StatusCode, code), details

    def code(self) -> Any:
        return self._code

    def details(self) -> str:
        return self._details


class FakeCall:
    """One watch stream: the test sends replies and ends it."""

    def __init__(self, requests: Iterator[Any]) -> None:
        self.replies: queue.Queue[Any] = queue.Queue()
        self.asked = threading.Event()
        first = next(requests)
        self.start_revision = first.create_request.start_revision
        self._callbacks: list[Callable[[], None]] = []
        self._ended = threading.Event()
        self._requests = requests
        self.sender = threading.Thread(target=self._send, daemon=True)
        self.sender.start()

    def _send(self) -> None:
        for _ in self._requests:
            self.asked.set()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self._callbacks.append(callback)
        return not self._ended.is_set()

    def cancel(self) -> None:
        self._end()
        self.replies.put(Status("CANCELLED", "Locally cancelled by application!"))

    def _end(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            for callback in self._callbacks:  # gRPC, too, calls back from a thread of its own
                threading.Thread(target=callback).start()

    def __iter__(self) -> Iterator[Any]:
        while True:
            reply = self.replies.get()
            if isinstance(reply, Status):
                self._end()
                raise reply
            yield reply

    def created(self, **fields: Any) -> None:
        self.replies.put(rpc.WatchResponse(created=True, **fields))

    def events(self, *changes: tuple[str, bytes | None, int], more: bool = False) -> None:
        reply = rpc.WatchResponse()
        for name, value, revision in changes:
            event = reply.events.add()
            event.type = 1 if value is None else 0
            event.kv.key, event.kv.mod_revision = LAYOUT.raw(name), revision
            if value is not None:
                event.kv.value = value
        self.replies.put(
            rpc.WatchResponse.FromString(reply.SerializeToString() + b"\x38\x01") if more else reply
        )

    def progress(self, revision: int) -> None:
        reply = rpc.WatchResponse(watch_id=-1)
        reply.header.revision = revision
        self.replies.put(reply)

    def compacted(self, revision: int) -> None:
        self.replies.put(rpc.WatchResponse(canceled=True, compact_revision=revision))

    def refused(self, reason: str) -> None:
        self.replies.put(rpc.WatchResponse(created=True, canceled=True, cancel_reason=reason))

    def cut(self) -> None:
        self.replies.put(Status("UNAVAILABLE", "Socket closed"))


class FakeServer:
    """A store that answers reads from `held` at `revision`, and hands each new stream to the test."""

    def __init__(self) -> None:
        self.revision, self.compacted = 10, 0
        self.held: dict[bytes, Entry] = {LAYOUT.identity: Entry(LAYOUT.identity, b"me", 2, 2, 1)}
        self.streams: queue.Queue[FakeCall] = queue.Queue()
        self.endpoint, self.answered = "fake", True
        self.calls = {"Range": self.range, "Authenticate": self.authenticate}
        self.tokens = 0
        self.failed_channels = 0

    # What a channel has

    def range(self, request: Any, **_: Any) -> Any:
        if request.revision > self.revision:
            raise Status("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")
        if request.revision and request.revision < self.compacted:
            raise Status("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
        reply = rpc.RangeResponse()
        reply.header.revision = self.revision
        for key, entry in sorted(self.held.items()):
            inside = request.key <= key < request.range_end if request.range_end else key == request.key
            if inside and not (request.revision and entry.revision > request.revision):
                kv = reply.kvs.add()
                kv.key, kv.value, kv.mod_revision = key, entry.value, entry.revision
        return reply

    def authenticate(self, *_: Any, **__: Any) -> Any:
        self.tokens += 1
        return rpc.AuthenticateResponse(token=f"token{self.tokens}")

    def watch(self, requests: Iterator[Any], **_: Any) -> FakeCall:
        call = FakeCall(requests)
        self.streams.put(call)
        return call

    # What `Channels` has

    @contextmanager
    def lease(self) -> Iterator[FakeServer]:
        yield self

    def failed(self, _: Any) -> None:
        self.failed_channels += 1

    def close(self, seconds: float) -> None:
        pass

    # What the test does

    def put(self, name: str, value: bytes, revision: int) -> None:
        key = LAYOUT.raw(name)
        self.held[key] = Entry(key, value, revision, revision, 1)
        self.revision = max(self.revision, revision)

    def next_stream(self) -> FakeCall:
        return self.streams.get(timeout=SECONDS)


class Bench:
    """A feed on a fake server, and one subscription on it."""

    def __init__(self, *, dead_after: float = SECONDS, username: str | None = None) -> None:
        self.server: Any = FakeServer()
        self.monitor = Monitor()
        calls = Calls(self.server, Tokens(username, username), timeout=SECONDS, patience=0, probe=None)
        self.feed = Feed(self.server, calls, LAYOUT, self.monitor, dead_after=dead_after)
        self.states: queue.Queue[Any] = queue.Queue()
        self.monitor.listen(self.states.put)
        self.updates = Subscription(
            Cover.of([Section("feed")], LAYOUT), on_close=lambda _: None, on_overflow=lambda: None
        )
        self.feed.sinks.add(self.updates)
        self.feed.start()

    def begin(self) -> FakeCall:
        """The first stream, confirmed, with the snapshot taken."""
        stream = self.server.next_stream()
        assert stream.start_revision == self.server.revision + 1
        stream.created()
        assert isinstance(self.updates.get(SECONDS), Snapshot)
        return stream  # type: ignore[no-any-return]

    def next(self) -> Any:
        return self.updates.get(SECONDS)


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for one in made:
        one.feed.stop(10)
        one.monitor.close(10)


def test_neither_created_nor_progress_moves_the_resume_point(bench: Callable[..., Bench]) -> None:
    made = bench()
    stream = made.begin()
    reply = rpc.WatchResponse()
    reply.header.revision = 99
    stream.replies.put(reply)
    stream.progress(99)
    stream.events(("feed.limit", b"1", 12))
    assert made.next().revision == 12
    stream.progress(99)
    stream.cut()
    made.server.revision = 99
    again = made.server.next_stream()
    assert again.start_revision == 13
    again.created()
    again.events(("feed.limit", b"2", 15))
    assert made.next().revision == 15


def test_a_revision_cut_in_the_middle_is_asked_for_again(bench: Callable[..., Bench]) -> None:
    made = bench()
    stream = made.begin()
    stream.events(("feed.a", b"1", 11))
    stream.events(("feed.a", b"2", 12), more=True)
    stream.cut()
    made.server.revision = 12
    again = made.server.next_stream()
    assert again.start_revision == 12
    again.created()
    again.events(("feed.a", b"2", 12), more=True)
    again.events(("feed.b", b"2", 12))
    assert made.next().revision == 11
    whole = made.next()
    assert isinstance(whole, Changes)
    assert [change.key for change in whole.changes] == ["feed.a", "feed.b"]


def test_what_a_server_repeats_is_dropped(bench: Callable[..., Bench]) -> None:
    made = bench()
    stream = made.begin()
    stream.events(("feed.a", b"1", 11))
    stream.events(("feed.a", b"1", 11), ("feed.a", b"old", 9), ("feed.a", b"2", 12))
    assert [made.next().revision, made.next().revision] == [11, 12]


def test_a_compaction_between_the_snapshot_and_the_watch(bench: Callable[..., Bench]) -> None:
    made = bench()
    stream = made.server.next_stream()
    stream.created()
    assert isinstance(made.next(), Snapshot)
    made.server.put("feed.limit", b"5", 20)
    made.server.compacted = 20
    stream.compacted(20)
    item = made.next()
    assert isinstance(item, Resynced)
    assert (item.reason, item.after_revision, item.revision, item.values) == (
        "compacted",
        10,
        20,
        {"feed.limit": 5},
    )
    assert made.server.next_stream().start_revision == 21


def test_history_dropped_up_to_exactly_the_resume_point_is_not_trusted(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.begin().cut()
    made.server.revision = made.server.compacted = 11
    again = made.server.next_stream()
    assert again.start_revision == 12
    assert made.next().reason == "compacted"


@pytest.mark.parametrize("revision", [3, 500])
def test_another_store_is_recognised_whatever_its_revision(
    bench: Callable[..., Bench], revision: int
) -> None:
    made = bench()
    stream = made.begin()
    stream.events(("feed.limit", b"1", 11))
    made.next()
    made.server.held = {LAYOUT.identity: Entry(LAYOUT.identity, b"another", 2, 2, 1)}
    made.server.revision = revision
    stream.cut()
    item = made.next()
    assert (item.reason, item.revision, item.changes) == ("store_replaced", revision, (Deleted(LIMIT, 1),))
    assert made.server.next_stream().start_revision == revision + 1


def test_a_replaced_store_is_called_so_although_its_first_listing_failed(bench: Callable[..., Bench]) -> None:
    # The second attempt knows the new identity already; and what is not called replaced must not go back.
    made = bench()
    stream = made.begin()
    stream.events(("feed.limit", b"1", 11))
    made.next()
    real, left = made.server.range, [1]

    def failing(request: Any, **options: Any) -> Any:
        if request.range_end and left[0]:
            left[0] -= 1
            raise Status("UNAVAILABLE", "Socket closed")
        return real(request, **options)

    made.server.calls["Range"] = failing
    made.server.held = {LAYOUT.identity: Entry(LAYOUT.identity, b"another", 2, 2, 1)}
    made.server.revision = 3
    stream.compacted(11)
    item = made.next()
    assert (item.reason, item.revision, item.changes) == ("store_replaced", 3, (Deleted(LIMIT, 1),))
    assert left == [0]


def test_listing_again_is_tried_until_it_works(bench: Callable[..., Bench]) -> None:
    made = bench()
    stream = made.begin()
    made.server.revision, made.server.compacted = 40, 40
    real, left = made.server.range, [3]

    def failing(request: Any, **options: Any) -> Any:
        if request.range_end and left[0]:
            left[0] -= 1
            raise Status("UNAVAILABLE", "Socket closed")
        return real(request, **options)

    made.server.calls["Range"] = failing
    stream.cut()
    assert made.next().reason == "compacted"
    assert left == [0]


@pytest.mark.slow
def test_a_silent_stream_is_asked_and_then_left(bench: Callable[..., Bench]) -> None:
    made = bench(dead_after=0.4)
    stream = made.begin()
    assert made.states.get(timeout=SECONDS) is SYNCED
    assert stream.asked.wait(SECONDS)
    stream.progress(10)
    stream.asked.clear()
    assert stream.asked.wait(SECONDS), "an answer keeps it going, and it is asked again"
    assert made.states.get(timeout=SECONDS) is STALE
    assert made.server.next_stream().start_revision == 11


def test_a_stream_that_is_never_confirmed_is_left(bench: Callable[..., Bench]) -> None:
    made = bench(dead_after=0.4)
    made.server.next_stream()
    assert made.server.next_stream().start_revision == 11


@pytest.mark.slow
def test_a_server_that_never_answers_progress_requests_is_not_called_stale(
    bench: Callable[..., Bench],
) -> None:
    made = bench(dead_after=0.3)
    made.begin()
    for _ in range(4):
        made.server.next_stream().created()
    seen = [made.states.get(timeout=SECONDS) for _ in range(made.states.qsize())]
    for _ in range(2):
        made.server.next_stream().created()
    after = [made.states.get(timeout=SECONDS) for _ in range(made.states.qsize())]
    assert seen.count(STALE) == 3
    assert STALE not in after
    assert made.monitor.state is SYNCED


def test_a_stale_token_looks_like_a_refusal_and_is_renewed_once(bench: Callable[..., Bench]) -> None:
    made = bench(username="me")
    made.begin().cut()
    made.server.next_stream().refused(
        "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    )
    again = made.server.next_stream()
    assert made.server.tokens == 2
    again.created()
    again.events(("feed.limit", b"1", 11))
    assert made.next().revision == 11
    again.cut()
    made.server.revision = 11
    for _ in range(2):
        made.server.next_stream().refused("etcdserver: permission denied")
    with pytest.raises(PermissionDenied):
        made.next()


def test_the_audit_finds_a_change_that_the_server_never_sent(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "next_audit", lambda now: now)
    monkeypatch.setattr(audit, "GRACE", 0.0)
    made = bench()
    stream = made.begin()
    made.server.put("feed.lost", b"1", 11)
    made.server.put("feed.limit", b"2", 12)
    stream.events(("feed.limit", b"2", 12))  # revision 11 is missing
    for _ in range(4):  # each reply is an occasion to list, or to compare
        stream.progress(12)
    assert made.next().revision == 12
    item = made.next()
    assert isinstance(item, Resynced)
    assert item.values == {"feed.limit": 2, "feed.lost": b"1"}
    assert made.monitor.counters.audits_failed == 1


def test_an_audit_of_a_good_server_finds_nothing(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "next_audit", lambda now: now)
    monkeypatch.setattr(audit, "GRACE", 0.0)
    made = bench()
    stream = made.begin()
    for revision in range(11, 40):
        name = f"feed.k{revision % 3}"
        if revision % 5 == 0 and LAYOUT.raw(name) in made.server.held:
            del made.server.held[LAYOUT.raw(name)]
            made.server.revision = revision
            stream.events((name, None, revision))
        else:
            made.server.put(name, b"v", revision)
            stream.events((name, b"v", revision))
        assert made.next().revision == revision
        stream.progress(revision)
    assert made.monitor.counters.audits_failed == 0


def test_the_plain_client_has_the_same_messages() -> None:
    assert etcd3.etcdrpc is rpc
