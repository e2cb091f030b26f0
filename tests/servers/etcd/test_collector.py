"""The log's keeper against a scripted etcd: everything that a real one does only rarely, or by a bug of its own."""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import collector as collector_module
from pytest_netfault.servers.etcd.collector import Collector
from pytest_netfault.servers.etcd.gateway import Gateway, WatchStream
from pytest_netfault.servers.etcd.log import LogEvent, LogRevision

END = None  # the stream ends


class ScriptedStream(WatchStream):
    """Yields what the test hands out."""

    def __init__(self, gateway: ScriptedGateway, start: int) -> None:
        super().__init__(gateway, start)
        self.start = start
        self.handed: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.finished = threading.Event()

    def replies(self) -> Iterator[dict[str, Any]]:
        try:
            while (reply := self.handed.get(timeout=30)) is not END:
                yield reply
        finally:
            self.finished.set()

    def close(self) -> None:
        self.handed.put(END)


class ScriptedGateway(Gateway):
    """An etcd whose revision and watches are the test's."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 1)
        self.now = 1
        self.watches: queue.Queue[ScriptedStream] = queue.Queue()

    def revision(self, *, timeout: float = 1.0) -> int:
        return self.now

    def watch(self, start_revision: int) -> WatchStream:
        stream = ScriptedStream(self, start_revision)
        self.watches.put(stream)
        return stream

    def next_watch(self) -> ScriptedStream:
        return self.watches.get(timeout=10)


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def collector(gateway: ScriptedGateway) -> Iterator[Collector]:
    keeper = Collector(gateway, after_revision=1)
    yield keeper
    keeper.close()
    assert not any(watcher.thread.is_alive() for watcher in keeper._watchers)


def put(revision: int, key: str = "k", value: str = "v") -> dict[str, Any]:
    text = (base64.b64encode(part.encode()).decode() for part in (key, value))
    return {"kv": {"key": next(text), "value": next(text), "mod_revision": str(revision)}}


def reply(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"header": {}, "events": list(events), **more}


def held(revision: int, *keys: str) -> LogRevision:
    return LogRevision(revision, tuple(LogEvent("put", key.encode(), b"v") for key in keys or ("k",)))


def test_transactions_stay_together_and_in_order(gateway: ScriptedGateway, collector: Collector) -> None:
    stream = gateway.next_watch()
    assert stream.start == 2
    stream.handed.put(reply(created=True))
    stream.handed.put(reply(put(2, "a"), put(2, "b"), put(3)))
    stream.handed.put(reply(put(4)))
    assert collector.read(0, 4, timeout=10) == [held(2, "a", "b"), held(3), held(4)]
    assert collector.read(3, 4) == [held(4)]
    assert collector.read(4, 4) == []
    assert collector.read(9, 4) == []


def test_a_transaction_sent_in_fragments_is_joined(gateway: ScriptedGateway, collector: Collector) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2), put(3, "a"), fragment=True))
    stream.handed.put(reply(put(3, "b")))
    assert collector.read(1, 3, timeout=10) == [held(2), held(3, "a", "b")]


def test_half_a_transaction_is_forgotten_with_its_stream(
    gateway: ScriptedGateway, collector: Collector
) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2, "a"), fragment=True))
    stream.handed.put(END)
    gateway.next_watch().handed.put(reply(put(2, "a"), put(2, "b")))
    assert collector.read(1, 2, timeout=10) == [held(2, "a", "b")]


def test_after_a_broken_stream_the_last_revision_is_looked_at_again(
    gateway: ScriptedGateway, collector: Collector
) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2)))
    stream.handed.put(END)
    stream = gateway.next_watch()
    assert stream.start == 2
    stream.handed.put(reply(put(2), put(3)))
    assert collector.read(1, 3, timeout=10) == [held(2), held(3)]


def test_a_part_of_the_last_revision_is_right_too(gateway: ScriptedGateway, collector: Collector) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2, "a"), put(2, "b")))
    stream.handed.put(END)
    gateway.next_watch().handed.put(reply(put(2, "a"), put(3)))
    assert collector.read(1, 3, timeout=10) == [held(2, "a", "b"), held(3)]


def test_another_store_at_the_same_revision_is_found_out(
    gateway: ScriptedGateway, collector: Collector
) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2, "a")))
    stream.handed.put(END)
    gateway.next_watch().handed.put(reply(put(2, "b")))
    with pytest.raises(ServerError, match=r"now shows .*b'b'.* but had shown .*b'a'.* replaced"):
        collector.wait_for(9, timeout=10)


def test_a_store_that_fell_behind_is_found_out(gateway: ScriptedGateway, collector: Collector) -> None:
    gateway.next_watch().handed.put(reply(put(2), put(3)))
    collector.wait_for(3, timeout=10)
    gateway.now = 2
    with pytest.raises(ServerError, match="is at revision 2 but had shown revision 3 before"):
        collector.current()
    with pytest.raises(ServerError, match="is at revision 2"):
        collector.read(1, 3)


def test_a_gap_is_asked_for_again(gateway: ScriptedGateway, collector: Collector) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2), put(4)))
    assert stream.finished.wait(10)
    stream = gateway.next_watch()
    assert stream.start == 2
    stream.handed.put(reply(put(2), put(3), put(4)))
    assert collector.read(1, 4, timeout=10) == [held(2), held(3), held(4)]


def test_a_gap_that_stays_is_said(gateway: ScriptedGateway, collector: Collector) -> None:
    gateway.next_watch().handed.put(reply(put(3)))
    gateway.next_watch()  # it asked again, so what was wrong is known
    with pytest.raises(
        ServerError, match=r"read up to revision 1 of 3 within 0.01 s: .*revision 3 came where 2"
    ):
        collector.wait_for(3, timeout=0.01)


def test_a_compaction_of_what_is_held_harms_nothing(gateway: ScriptedGateway, collector: Collector) -> None:
    stream = gateway.next_watch()
    stream.handed.put(reply(put(2)))
    stream.handed.put(END)
    stream = gateway.next_watch()
    assert stream.start == 2
    stream.handed.put(reply(canceled=True, compact_revision="3"))
    stream = gateway.next_watch()
    assert stream.start == 3
    stream.handed.put(reply(put(3)))
    assert collector.read(1, 3, timeout=10) == [held(2), held(3)]
    stream.handed.put(END)
    assert gateway.next_watch().start == 3


def test_a_compaction_of_what_is_not_held_is_fatal(gateway: ScriptedGateway, collector: Collector) -> None:
    gateway.next_watch().handed.put(reply(canceled=True, compact_revision="7"))
    with pytest.raises(ServerError, match=r"compacted at revision 7 by someone else .* up to revision 1"):
        collector.wait_for(7, timeout=10)


def test_a_cancel_for_another_reason_is_tried_again(gateway: ScriptedGateway, collector: Collector) -> None:
    gateway.next_watch().handed.put(reply(canceled=True, cancel_reason="no leader"))
    gateway.next_watch().handed.put(reply(put(2)))
    assert collector.read(1, 2, timeout=10) == [held(2)]


def test_it_watches_again_at_once_when_told_that_the_server_serves(
    gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_module, "_FIRST_PAUSE", 60.0)
    monkeypatch.setattr(collector_module, "_LONGEST_PAUSE", 60.0)
    keeper = Collector(gateway, after_revision=1)
    try:
        gateway.next_watch().handed.put(END)
        keeper.wake()
        gateway.next_watch()
    finally:
        keeper.close()


def test_the_members_of_a_cluster_tell_one_log(gateway: ScriptedGateway) -> None:
    first, second = ScriptedGateway(), ScriptedGateway()
    keeper = Collector(gateway, after_revision=1, members=[first, second])
    try:
        one, other = first.next_watch(), second.next_watch()
        one.handed.put(reply(put(2)))
        keeper.wait_for(2, timeout=10)
        other.handed.put(reply(put(2), put(3)))
        assert keeper.read(1, 3, timeout=10) == [held(2), held(3)]
        one.handed.put(END)
        assert first.next_watch().start == 3
        other.handed.put(reply(put(4)))
        keeper.wait_for(4, timeout=10)
        other.handed.put(reply(put(4, "another")))
        with pytest.raises(ServerError, match=r"now shows .*b'another'.* but had shown"):
            keeper.wait_for(5, timeout=10)
    finally:
        keeper.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_of_ours_is_told_to_the_reader(gateway: ScriptedGateway, collector: Collector) -> None:
    gateway.next_watch().handed.put({"events": 7})
    with pytest.raises(ServerError, match="the log cannot be read: TypeError"):
        collector.wait_for(2, timeout=10)


def test_closing_ends_a_reader(gateway: ScriptedGateway, collector: Collector) -> None:
    gateway.next_watch()
    reading = threading.Event()
    ended: list[BaseException] = []

    def read() -> None:
        reading.set()
        try:
            collector.wait_for(2, timeout=30)
        except ServerError as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(10)
    collector.close()
    reader.join(timeout=10)
    assert [str(error) for error in ended] == ["the log is no longer read: this etcd was closed"]


def test_too_early_is_refused(gateway: ScriptedGateway) -> None:
    keeper = Collector(gateway, after_revision=5)
    try:
        assert keeper.read(5, 5) == []
        with pytest.raises(
            ValueError, match="after_revision=4 is too early: the log is kept from revision 5 on"
        ):
            keeper.read(4, 5)
        with pytest.raises(TypeError, match="after_revision must be a whole number, not '5'"):
            keeper.read("5", 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not True"):
            keeper.read(True, 5)
    finally:
        keeper.close()
