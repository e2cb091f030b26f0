"""Following keys on a real etcd, with nothing broken."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import (
    ABSENT,
    Changes,
    ConfigStore,
    DeadlineExceeded,
    Deleted,
    Handle,
    Item,
    Key,
    KeyNotSet,
    Section,
    Snapshot,
    Undecodable,
    Updated,
)

pytestmark = pytest.mark.slow

LIMIT = Key("billing.limit", int, default=100)
NAME = Key("billing.name", str)
RAW = Key("billing.limit", bytes)
Key("billing.limit", int, default=100)  # the last declaration of a name is the one that a section decodes by


def test_the_snapshot_has_everything_written_before(open_store: Callable[..., ConfigStore]) -> None:
    writer, reader = open_store(), open_store()
    for number in range(30):
        written = writer.set(LIMIT, number)
        with reader.subscribe(LIMIT) as updates:
            first = updates.get(30)
            assert isinstance(first, Snapshot)
            assert first.values[LIMIT] == number
            assert first.revision >= written.revision


def test_a_transaction_is_one_item(store: ConfigStore) -> None:
    with store.subscribe(Section("billing")) as updates:
        assert updates.get(30) == Snapshot(store.get_all(Section("billing")).values, updates.revision)
        with store.transaction() as txn:
            txn.set(LIMIT, 5)
            txn.set(NAME, "n")
        item = updates.get(30)
        assert isinstance(item, Changes)
        assert set(item.changes) == {Updated(LIMIT, 5, ABSENT), Updated(NAME, "n", ABSENT)}
        assert item.revision == txn.revision
        store.delete(NAME)
        item = updates.get(30)
        assert isinstance(item, Changes)
        assert item.changes == (Deleted(NAME, "n"),)


def test_128_changes_are_one_item(store: ConfigStore) -> None:
    with store.subscribe(Section("big")) as updates:
        updates.get(30)
        with store.transaction() as txn:
            for number in range(128):
                txn.set(Key(f"big.k{number}", str), "x" * 10_000)
        item = updates.get(30)
        assert isinstance(item, Changes)
        assert len(item.changes) == 128


def test_neighbours_are_not_heard(store: ConfigStore) -> None:
    with store.subscribe(Section("app"), LIMIT) as updates:
        updates.get(30)
        store.set(Key("app2.x", int), 1)
        store.set(Key("billing.limit2", int), 1)
        last = store.set(LIMIT, 1)
        assert updates.get(30).revision == last.revision


def test_a_bad_value_does_not_end_a_subscription(store: ConfigStore) -> None:
    store.set(LIMIT, 1)
    live = store.live(LIMIT)
    assert live.value == 1
    with store.subscribe(LIMIT) as updates:
        updates.get(30)
        bad = Key("billing.limit", bytes)
        try:
            written = store.set(bad, b"many")
        finally:
            Key("billing.limit", int, default=100)
        item = updates.get(30)
        assert isinstance(item, Undecodable)
        assert item.raw == b"many"
        store.wait_revision(written.revision, 30)
        assert live.value == 1, "the last good value stays in force"
        last = store.set(LIMIT, 2)
        assert updates.get(30) == Changes(last.revision, (Updated(LIMIT, 2, 1),))
        store.wait_revision(last.revision, 30)
        assert live.value == 2


def test_callbacks_come_in_order_and_may_do_anything(store: ConfigStore) -> None:
    items: queue.Queue[Item] = queue.Queue()

    def callback(item: Item) -> None:
        items.put(item)
        if isinstance(item, Changes):
            assert store.get(LIMIT).value >= 1
            raise RuntimeError("a callback may raise")

    handle = store.on_change(LIMIT, callback)
    assert isinstance(items.get(timeout=30), Snapshot)
    written = [store.set(LIMIT, number).revision for number in range(1, 6)]
    assert [items.get(timeout=30).revision for _ in written] == written
    handle.cancel()
    handle.cancel()
    store.set(LIMIT, 9)
    store.wait_revision(store.get(LIMIT).revision, 30)
    assert items.empty()
    assert store.counters.callback_errors >= 4
    assert handle.error is None


def test_a_callback_that_blocks_harms_nobody(store: ConfigStore) -> None:
    release, entered = threading.Event(), threading.Event()

    def block(_: Item) -> None:
        entered.set()
        release.wait(60)

    try:
        store.on_change(LIMIT, block)
        assert entered.wait(30)
        with store.subscribe(LIMIT) as updates:
            updates.get(30)
            written = store.set(LIMIT, 1)
            assert updates.get(30).revision == written.revision
    finally:
        release.set()


def test_a_callback_may_cancel_itself_and_close_the_store(store: ConfigStore) -> None:
    registered, done = threading.Event(), threading.Event()
    handles: list[Handle] = []

    def callback(_: Item) -> None:
        registered.wait(30)
        handles[0].cancel()
        store.close()
        done.set()

    handles.append(store.on_change(LIMIT, callback))
    registered.set()
    assert done.wait(30)


def test_on_change_needs_a_callback(store: ConfigStore) -> None:
    with pytest.raises(TypeError, match="must be the callback"):
        store.on_change(LIMIT)
    with pytest.raises(TypeError, match="must be the callback"):
        store.on_change()
    with pytest.raises(TypeError, match="a Key or a Section"):
        store.on_change("billing.limit", print)


def test_a_live_value_follows(store: ConfigStore) -> None:
    live = store.live(LIMIT)
    assert store.live(LIMIT) is live
    assert (live.value, live.revision) == (100, 0)
    written = store.set(LIMIT, 7)
    store.wait_revision(written.revision, 30)
    assert (live.value, live.revision) == (7, written.revision)
    assert 0 <= live.age < 60
    store.delete(LIMIT)
    last = store.set(Key("billing.other", int), 1)
    store.wait_revision(last.revision, 30)
    assert live.value == 100
    with pytest.raises(KeyNotSet):
        _ = store.live(NAME).value


def test_waiting_for_a_revision(
    store: ConfigStore, open_store: Callable[..., ConfigStore], root: str
) -> None:
    elsewhere = open_store(root=f"{root}-other").set(LIMIT, 1)
    store.wait_revision(elsewhere.revision, 30)
    with pytest.raises(DeadlineExceeded, match="was not delivered"):
        store.wait_revision(elsewhere.revision + 10**9, 0.5)


def test_fifty_subscriptions_share_one_stream(store: ConfigStore, etcd_server: Any) -> None:
    del etcd_server
    subscriptions = [store.subscribe(Section(f"s{number}")) for number in range(50)]
    for number, updates in enumerate(subscriptions):
        updates.get(30)
        written = store.set(Key(f"s{number}.k", int), number)
        assert updates.get(30).revision == written.revision
    names = [thread.name for thread in threading.enumerate() if thread.name == "runtime-config-feed"]
    assert len(names) == 1


def test_a_live_value_whose_start_was_interrupted_follows_all_the_same(
    store: ConfigStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set(LIMIT, 5)
    store.wait_synced(30)
    listed, interrupted = store._reader.entries, threading.Event()

    def ctrl_c_once(*arguments: Any, **options: Any) -> Any:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return listed(*arguments, **options)

    monkeypatch.setattr(store._reader, "entries", ctrl_c_once)
    with pytest.raises(KeyboardInterrupt):
        store.live(LIMIT)
    live = store.live(LIMIT)  # the same one, so it must not be left without a start
    with store.subscribe(LIMIT) as updates:
        updates.get(30)
    deadline = time.monotonic() + 30
    while not live.joined and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    assert live.value == 5
