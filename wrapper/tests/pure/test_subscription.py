"""What a subscription delivers, without a server: the test plays the feed's side."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_config import (
    ABSENT,
    Changes,
    Closed,
    DeadlineExceeded,
    Deleted,
    Item,
    Key,
    PermissionDenied,
    Resynced,
    Section,
    Snapshot,
    Undecodable,
    Updated,
)
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.records import Entry, RawChange
from runtime_config._feed.sink import Cover
from runtime_config.subscription import Subscription, deliver_in_thread

LAYOUT = Layout("/r")
LIMIT = Key("sub.limit", int, default=100)
NAME = Key("sub.name", str)


def entry(name: str, value: bytes, revision: int) -> tuple[str, Entry]:
    return name, Entry(LAYOUT.raw(name), value, revision, revision, 1)


def change(name: str, value: bytes | None, revision: int) -> tuple[str, RawChange]:
    return name, RawChange(LAYOUT.raw(name), value, revision)


def subscription(*targets: object, max_items: int = 1000, max_bytes: int = 10**9) -> Subscription:
    return Subscription(
        Cover.of(targets or (Section("sub"),), LAYOUT),  # type: ignore[arg-type]
        on_close=lambda _: None,
        on_overflow=lambda: None,
        max_items=max_items,
        max_bytes=max_bytes,
    )


def started(
    entries: list[tuple[str, Entry]] | None = None, revision: int = 10, **limits: int
) -> Subscription:
    made = subscription(**limits)
    assert made.join(entries or [], revision)
    made.get(0)
    return made


def test_a_snapshot_comes_first_and_then_whole_transactions() -> None:
    updates = subscription()
    updates.join([entry("sub.limit", b"5", 8), entry("other.x", b"?", 9)], 10)
    updates.batch(
        11, [change("sub.limit", b"6", 11), change("other.x", b"?", 11), change("sub.name", b"n", 11)]
    )
    updates.batch(12, [change("other.x", None, 12)])
    updates.batch(13, [change("sub.limit", None, 13)])
    assert updates.get(0) == Snapshot(updates_values({"sub.limit": 5}), 10)
    assert updates.get(0) == Changes(11, (Updated(LIMIT, 6, 5), Updated(NAME, "n", ABSENT)))
    assert updates.get(0) == Changes(13, (Deleted(LIMIT, 6),))
    assert updates.revision == 13
    with pytest.raises(DeadlineExceeded):
        updates.get(0)


def updates_values(values: dict[str, object]) -> object:
    from runtime_config import Values

    return Values(values)


def test_values_are_found_by_key_and_by_name() -> None:
    updates = subscription()
    updates.join([entry("sub.name", b"n", 8)], 10)
    first = updates.get(0)
    assert isinstance(first, Snapshot)
    assert first.values == {"sub.name": "n"} == {NAME: "n"}
    assert first.values[NAME] == first.values["sub.name"] == "n"
    assert first.values[LIMIT] == 100
    assert LIMIT not in first.values
    with pytest.raises(KeyError):
        first.values["sub.limit"]


def test_what_the_listing_had_is_not_delivered_again() -> None:
    updates = subscription()
    updates.batch(9, [change("sub.limit", b"1", 9)])
    updates.batch(11, [change("sub.limit", b"3", 11)])
    assert updates.join([entry("sub.limit", b"2", 10)], 10)
    updates.batch(10, [change("sub.limit", b"2", 10)])  # the feed may be behind the listing
    assert updates.get(0).revision == 10
    assert updates.get(0) == Changes(11, (Updated(LIMIT, 3, 2),))
    with pytest.raises(DeadlineExceeded):
        updates.get(0)


def test_a_reset_makes_a_listing_under_way_worthless() -> None:
    updates = subscription()
    updates.reset("store_replaced", [entry("sub.limit", b"7", 3)], 3)
    assert not updates.join([entry("sub.limit", b"2", 10)], 10)
    assert updates.join([entry("sub.limit", b"7", 3)], 4)
    assert updates.get(0).revision == 4


def test_a_resync_carries_the_truth_and_the_difference() -> None:
    updates = started([entry("sub.limit", b"5", 8), entry("sub.name", b"n", 9)])
    updates.batch(11, [change("sub.limit", b"6", 11)])
    updates.get(0)
    updates.reset("compacted", [entry("sub.limit", b"9", 20), entry("sub.new", b"x", 21)], 30)
    item = updates.get(0)
    assert isinstance(item, Resynced)
    assert (item.reason, item.after_revision, item.revision) == ("compacted", 11, 30)
    assert item.values == {"sub.limit": 9, "sub.new": b"x"}
    assert item.changes == (
        Updated(LIMIT, 9, 6),
        Deleted(NAME, "n"),
        Updated(Key("sub.new", bytes), b"x", ABSENT),
    )


def test_a_replaced_store_may_have_lower_revisions() -> None:
    updates = started([entry("sub.limit", b"5", 8)])
    updates.reset("store_replaced", [entry("sub.limit", b"5", 2)], 3)
    item = updates.get(0)
    assert isinstance(item, Resynced)
    assert item.changes == (Updated(LIMIT, 5, 5),)
    updates.batch(4, [change("sub.limit", b"1", 4)])
    assert updates.get(0) == Changes(4, (Updated(LIMIT, 1, 5),))


def test_a_bad_value_does_not_end_anything() -> None:
    updates = started([entry("sub.limit", b"5", 8)])
    updates.batch(11, [change("sub.limit", b"many", 11), change("sub.name", b"n", 11)])
    updates.batch(12, [change("sub.limit", b"6", 12)])
    assert updates.get(0) == Changes(11, (Updated(NAME, "n", ABSENT),))
    bad = updates.get(0)
    assert isinstance(bad, Undecodable)
    assert (bad.key, bad.raw, bad.revision) == (LIMIT, b"many", 11)
    assert updates.get(0) == Changes(12, (Updated(LIMIT, 6, 5),))


def test_a_bad_value_at_the_start_is_reported_after_the_snapshot() -> None:
    updates = subscription()
    updates.join([entry("sub.limit", b"many", 8)], 10)
    first, bad = updates.get(0), updates.get(0)
    assert isinstance(first, Snapshot)
    assert first.values == {}
    assert isinstance(bad, Undecodable)
    updates.batch(11, [change("sub.limit", None, 11)])
    assert updates.get(0) == Changes(11, (Deleted(LIMIT, ABSENT),))


def test_a_slow_consumer_gets_what_was_kept_and_then_the_truth() -> None:
    updates = started(max_items=3)
    for revision in range(11, 31):
        updates.batch(revision, [change("sub.limit", str(revision).encode(), revision)])
    assert [updates.get(0).revision for _ in range(3)] == [11, 12, 13]
    item = updates.get(0)
    assert isinstance(item, Resynced)
    assert (item.reason, item.after_revision, item.revision) == ("overflow", 13, 30)
    assert item.values == {"sub.limit": 30}
    assert item.changes == (Updated(LIMIT, 30, 13),)
    updates.batch(31, [change("sub.limit", b"31", 31)])
    assert updates.get(0) == Changes(31, (Updated(LIMIT, 31, 30),))


def test_bytes_are_bounded_too() -> None:
    updates = started(max_bytes=3000)
    for revision in range(11, 31):
        updates.batch(revision, [change("sub.name", b"x" * 1000, revision)])
    assert len(updates._buffer) == 2
    big = started(max_bytes=3000)
    big.batch(11, [change("sub.name", b"x" * 10_000, 11)])
    assert isinstance(big.get(0), Changes), "one item always fits, or it could never be delivered"


def test_a_replaced_store_is_the_more_serious_reason() -> None:
    updates = started(max_items=1)
    for revision in (11, 12):
        updates.batch(revision, [change("sub.limit", b"1", revision)])
    updates.reset("store_replaced", [], 3)
    assert updates.get(0).revision == 11
    item = updates.get(0)
    assert isinstance(item, Resynced)
    assert (item.reason, item.revision, item.values) == ("store_replaced", 3, {})


def test_a_refusal_is_raised_after_what_was_there() -> None:
    updates = started()
    updates.batch(11, [change("sub.limit", b"1", 11)])
    assert updates.fail(PermissionDenied("no"))
    assert updates.get(0).revision == 11
    with pytest.raises(PermissionDenied):
        updates.get(0)
    assert list(updates) == []


def test_closing_ends_the_iteration_of_another_thread() -> None:
    updates = started()
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.extend(updates))
    thread.start()
    updates.batch(11, [change("sub.limit", b"1", 11)])
    updates.close()
    updates.close()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(Closed):
        updates.get(0)


def test_after_closing_nothing_is_delivered_any_more() -> None:
    updates = started([entry("sub.limit", b"5", 8)])
    updates.batch(11, [change("sub.limit", b"many", 11), change("sub.name", b"n", 11)])
    assert isinstance(updates.get(0), Changes)
    updates.close()  # the bad value of the same transaction is still to come
    with pytest.raises(Closed):
        updates.get(0)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("abc"), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("reset"), st.sampled_from("abc"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.just("a"), st.integers(1, 4)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(steps, st.integers(1, 4))
def test_items_always_add_up_to_the_store(plan: list[tuple[str, str, int]], max_items: int) -> None:
    """Whatever is written, lost and overflown: what a consumer builds from the items is the store, at each item."""
    updates = subscription(max_items=max_items)
    state: dict[str, tuple[bytes, int]] = {}
    history: dict[int, dict[str, bytes]] = {10: {}}
    revision = 10
    updates.join([], revision)
    mine: dict[str, bytes] = {}
    last = 0

    def read() -> None:
        nonlocal last
        item = updates.get(0)
        assert item.revision > last
        last = item.revision
        if isinstance(item, (Snapshot, Resynced)):
            changed = dict(item.values)
        if isinstance(item, (Changes, Resynced)):
            for one in item.changes:
                before = mine.get(one.key.name, ABSENT)
                assert one.previous == before
                if isinstance(one, Updated):
                    mine[one.key.name] = one.new
                else:
                    mine.pop(one.key.name, None)
        if isinstance(item, (Snapshot, Resynced)):
            assert mine == changed or isinstance(item, Snapshot)
            mine.clear()
            mine.update(changed)
        assert mine == history[item.revision]

    for what, letter, number in plan:
        name = f"sub.raw-{letter}"
        if what == "read":
            with suppress(DeadlineExceeded):
                for _ in range(number):
                    read()
            continue
        revision += 1
        if what == "delete":
            if name not in state:
                continue
            del state[name]
        else:
            state[name] = (b"%d" % number, revision)
        history[revision] = {key: value for key, (value, _) in state.items()}
        if what == "reset":
            updates.reset(
                "compacted", [entry(key, value, at) for key, (value, at) in state.items()], revision
            )
        else:
            updates.batch(revision, [change(name, state[name][0] if name in state else None, revision)])
    with suppress(DeadlineExceeded):
        while True:
            read()
    assert mine == history[max(history)]


def test_several_targets_share_one_range() -> None:
    cover = Cover.of([Key("b.x", int), Section("d")], LAYOUT)
    assert "b.x" in cover
    assert "d.y" in cover
    assert "c.z" not in cover
    assert b"/r/b/x" in cover.span
    assert b"/r/d/y" in cover.span


@pytest.mark.parametrize(
    ("targets", "error"), [([], ValueError), (["sub"], TypeError), ([LIMIT, None], TypeError)]
)
def test_only_keys_and_sections_can_be_followed(targets: list[object], error: type[Exception]) -> None:
    make: Callable[..., Cover] = Cover.of
    with pytest.raises(error):
        make(targets, LAYOUT)


class Raising:
    """A codec that raises what the test puts in, and decodes once there is nothing left."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def encode(self, value: str, /) -> bytes:
        if self.errors:
            raise self.errors.pop(0)
        return value.encode()

    def decode(self, raw: bytes, /) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return raw.decode()

    def __repr__(self) -> str:
        raise RuntimeError("not even a repr")


SEVERE = [
    SystemExit(3),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    pytest.fail.Exception("f"),
    GeneratorExit(),
]


@pytest.mark.parametrize("error", SEVERE, ids=lambda error: type(error).__name__)
def test_an_interrupted_item_is_delivered_by_the_next_call(error: BaseException) -> None:
    # In the main thread it may come from a signal, so it passes on; the item is not lost by it.
    codec = Raising()
    key = Key("sub.raising", codec)
    updates = subscription(key)
    updates.join([entry(key.name, b"old", 8)], 10)
    updates.batch(11, [change(key.name, b"new", 11)])
    for expected in (Snapshot, Changes):
        codec.errors.append(error)
        with pytest.raises(type(error)):
            updates.get(0)
        item = updates.get(0)
        assert isinstance(item, expected)
    assert isinstance(item, Changes)
    assert item.changes == (Updated(key, "new", "old"),)


@pytest.mark.parametrize(
    "error",
    [*SEVERE, concurrent.futures.CancelledError(), ValueError()],
    ids=lambda error: type(error).__name__,
)
def test_in_a_thread_whatever_a_codec_raises_is_an_item(error: BaseException) -> None:
    codec = Raising()
    key = Key("sub.raising", codec)
    updates = subscription(key)
    updates.join([entry(key.name, b"old", 8)], 10)
    updates.batch(11, [change(key.name, b"bad", 11)])
    updates.batch(12, [change(key.name, b"new", 12)])
    items: queue.SimpleQueue[object] = queue.SimpleQueue()

    def take(item: Item) -> None:
        items.put(item)
        if isinstance(item, Snapshot):
            codec.errors.append(error)

    thread = deliver_in_thread(updates, take, items.put, items.put)
    assert isinstance(items.get(timeout=30), Snapshot)
    bad, good = items.get(timeout=30), items.get(timeout=30)
    assert isinstance(bad, Undecodable)
    assert bad.error.__cause__ is error
    assert isinstance(good, Changes)
    assert good.changes == (Updated(key, "new", "old"),)
    updates.close()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("error", SEVERE, ids=lambda error: type(error).__name__)
def test_whatever_a_callback_raises_the_next_item_comes(error: BaseException) -> None:
    updates = subscription()
    updates.join([], 10)
    updates.batch(11, [change("sub.limit", b"1", 11)])
    items: queue.SimpleQueue[object] = queue.SimpleQueue()

    def take(item: Item) -> None:
        items.put(item)
        raise error

    ends: list[BaseException] = []
    thread = deliver_in_thread(updates, take, items.put, ends.append)
    got = [items.get(timeout=30) for _ in range(4)]
    assert [type(item) for item in got] == [Snapshot, type(error), Changes, type(error)]
    updates.close()
    thread.join(30)
    assert not ends


def test_what_ends_a_delivery_is_reported() -> None:
    updates = subscription()
    updates.join([], 10)
    ends: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def complain(_: BaseException) -> None:
        raise SystemExit(5)  # a logging handler, for instance

    deliver_in_thread(updates, lambda _: 1 / 0, complain, ends.put)
    assert isinstance(ends.get(timeout=30), SystemExit)
