"""Reading and writing on a real etcd."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runtime_config import (
    ABSENT,
    Closed,
    ConfigStore,
    Conflict,
    DecodeError,
    EncodeError,
    Key,
    KeyNotSet,
    Section,
    State,
    ValueTooLarge,
    Versioned,
)
from runtime_config.compat import etcd3

LIMIT = Key("billing.limit", int, default=100)
NAME = Key("billing.name", str)


class Tier(enum.Enum):
    FREE = 1
    PAID = 2


@dataclass(frozen=True)
class Retry:
    count: int
    tier: Tier = Tier.FREE


@pytest.fixture
def raw(etcd_server: Any, root: str) -> Callable[[str], bytes | None]:
    """Read a key below the root with the plain client."""
    host, _, port = etcd_server.address.rpartition(":")

    def read(path: str) -> bytes | None:
        client = etcd3.client(host=host, port=int(port), timeout=10)
        try:
            found: bytes | None = client.get(f"{root}/{path}")[0]
            return found
        finally:
            client.close()

    return read


@pytest.fixture
def put_raw(etcd_server: Any, root: str) -> Callable[[str, bytes], None]:
    """Write a key below the root with the plain client."""
    host, _, port = etcd_server.address.rpartition(":")

    def put(path: str, value: bytes) -> None:
        client = etcd3.client(host=host, port=int(port), timeout=10)
        try:
            client.put(f"{root}/{path}", value)
        finally:
            client.close()

    return put


def test_a_value_comes_back_with_its_versions(store: ConfigStore) -> None:
    first = store.set(LIMIT, 200)
    second = store.set(LIMIT, 300)
    assert (first.value, first.version, second.version) == (200, 1, 2)
    assert second.created_revision == first.revision < second.revision
    assert store.get(LIMIT) == second
    assert store.get(LIMIT, stale_ok=True).value == 300


def test_a_default_stands_in(store: ConfigStore) -> None:
    assert store.get(LIMIT) == Versioned(100, 0)
    assert store.get(LIMIT).is_default
    with pytest.raises(KeyNotSet, match=r"billing\.name"):
        store.get(NAME)


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (int, 5, b"5"),
        (str, "x", b"x"),
        (float, 0.5, b"0.5"),
        (bool, False, b"false"),
        (bytes, b"\x00", b"\x00"),
        (dict, {"a": [1]}, b'{"a":[1]}'),
        (Tier, Tier.PAID, b"PAID"),
        (Retry, Retry(3), b'{"count":3,"tier":"FREE"}'),
    ],
)
def test_other_tools_read_what_a_person_would_write(
    store: ConfigStore, raw: Callable[[str], bytes | None], kind: Any, value: Any, stored: bytes
) -> None:
    key: Key[Any] = Key("kinds.one", kind)
    store.set(key, value)
    assert raw("kinds/one") == stored
    assert store.get(key).value == value


def test_what_other_tools_write_is_read(store: ConfigStore, put_raw: Callable[[str, bytes], None]) -> None:
    put_raw("billing/limit", b"17\n")
    assert store.get(LIMIT).value == 17
    put_raw("billing/limit", b"many")
    with pytest.raises(DecodeError, match=r"billing\.limit") as caught:
        store.get(LIMIT)
    assert caught.value.raw == b"many"


def test_delete_says_whether_there_was_anything(store: ConfigStore) -> None:
    store.set(LIMIT, 1)
    assert store.delete(LIMIT) is True
    assert store.delete(LIMIT) is False


def test_deleting_nothing_changes_nothing(store: ConfigStore) -> None:
    store.wait_synced(30)
    with store.subscribe(Section("billing")) as updates:
        before = updates.get(30).revision
        assert store.delete(LIMIT) is False
        assert store.get_all(Section("billing")).revision == before
        set_at = store.set(LIMIT, 1).revision
        assert set_at == before + 1
        assert updates.get(30).revision == set_at
        assert store.delete(LIMIT) is True
        assert updates.get(30).revision == set_at + 1
        assert store.delete(LIMIT) is False
        with store.transaction() as txn:
            txn.delete(LIMIT)  # a commit is one, also of nothing: its outcome can be settled
        assert txn.revision == set_at + 2


def test_an_open_store_has_its_identity(
    etcd_server: Any,
    root: str,
    raw: Callable[[str], bytes | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Made behind our back by the feed, it would be a revision between those of our own writes.
    monkeypatch.setattr("runtime_config._feed.feed.Feed.start", lambda _: None)
    with ConfigStore(etcd_server.address, root=root) as store:
        made = raw("~identity")
        assert made
        first = store.set(LIMIT, 1)
        assert store.get_all(Section("billing")).revision == first.revision
    with ConfigStore(etcd_server.address, root=root):
        assert raw("~identity") == made


def test_on_a_fresh_server_every_revision_is_accounted_for(members: Callable[..., Any]) -> None:
    with ConfigStore(members().addresses[0], timeout=60) as store:
        store.wait_synced(60)
        made = [store.set(LIMIT, n).revision for n in range(3)]
        assert made == [3, 4, 5]  # an empty store is at 1, and its identity is 2
        assert store.get_all(Section("billing")).revision == 5


def test_an_unencodable_value_is_refused_before_it_is_sent(store: ConfigStore) -> None:
    with pytest.raises(EncodeError, match=r"billing\.limit"):
        store.set(LIMIT, "five")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1_600_000, 3_000_000])
def test_a_value_above_the_limit_is_refused(store: ConfigStore, size: int) -> None:
    with pytest.raises(ValueTooLarge):
        store.set(NAME, "x" * size)
    with pytest.raises(KeyNotSet):
        store.get(NAME)


def test_compare_and_set(store: ConfigStore) -> None:
    first = store.compare_and_set(LIMIT, ABSENT, 1)
    with pytest.raises(Conflict) as caught:
        store.compare_and_set(LIMIT, ABSENT, 2)
    assert caught.value.current == first
    second = store.compare_and_set(LIMIT, first, 2)
    with pytest.raises(Conflict):
        store.compare_and_set(LIMIT, first, 3)
    store.delete(LIMIT)
    with pytest.raises(Conflict) as caught:
        store.compare_and_set(LIMIT, second, 4)
    assert caught.value.current is ABSENT
    assert store.compare_and_set(LIMIT, store.get(LIMIT), 5).version == 1


def test_writers_that_collide_lose_no_increment(open_store: Callable[..., ConfigStore]) -> None:
    stores = [open_store(timeout=60) for _ in range(8)]

    def count(store: ConfigStore) -> None:
        for _ in range(10):
            store.update(LIMIT, lambda value: value + 1)

    threads = [threading.Thread(target=count, args=(one,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].get(LIMIT).value == 180


def test_update_needs_something_to_start_from(store: ConfigStore) -> None:
    with pytest.raises(KeyNotSet):
        store.update(NAME, str.upper)
    with pytest.raises(ZeroDivisionError):
        store.update(LIMIT, lambda value: value // 0)


def test_a_section_is_read_whole_and_alone(
    open_store: Callable[..., ConfigStore], put_raw: Callable[[str, bytes], None]
) -> None:
    store = open_store()
    with store.transaction() as txn:
        for number in range(100):
            txn.set(Key(f"pages.k{number:04}", int), number)
    for number in range(100, 1100, 125):
        with store.transaction() as txn:
            for at in range(number, min(number + 125, 1100)):
                txn.set(Key(f"pages.k{at:04}", int), at)
    store.set(Key("pages2.other", int), 1)
    put_raw("pages/never_declared", b"raw")
    found = store.get_all(Section("pages"))
    assert len(found.values) == 1101
    assert found.values["pages.never_declared"] == b"raw"
    assert found.values[Key("pages.k0777", int)] == 777
    assert "pages2.other" not in found.values


def test_a_transaction_is_one_revision_or_nothing(store: ConfigStore) -> None:
    seen = store.set(LIMIT, 1)
    with store.transaction() as txn:
        txn.require(LIMIT, seen)
        txn.require(NAME, ABSENT)
        txn.set(LIMIT, 2)
        txn.set(NAME, "n")
    assert store.get(LIMIT).revision == store.get(NAME).revision == txn.revision
    with pytest.raises(Conflict, match=r"billing\.name") as caught, store.transaction() as txn:  # noqa: PT012
        txn.require(LIMIT, store.get(LIMIT))
        txn.require(NAME, ABSENT)
        txn.delete(LIMIT)
    assert caught.value.key == "billing.name"
    assert caught.value.current.value == "n"
    assert store.get(LIMIT).value == 2


@pytest.mark.parametrize(("requires", "sets"), [(0, 128), (0, 127), (64, 64), (127, 1), (128, 0)])
def test_128_operations_fit(store: ConfigStore, requires: int, sets: int) -> None:
    with store.transaction() as txn:
        for number in range(requires):
            txn.require(Key(f"free.k{number}", int), ABSENT)
        for number in range(sets):
            txn.set(Key(f"big.k{number}", int), number)
    assert len(store.get_all(Section("big")).values) == sets
    if requires == 128:
        store.set(Key("free.k127", int), 1)
        with pytest.raises(Conflict, match=r"free\.k127"), store.transaction() as txn:  # noqa: PT012
            for number in range(128):
                txn.require(Key(f"free.k{number}", int), ABSENT)


def test_roots_see_nothing_of_each_other(open_store: Callable[..., ConfigStore], root: str) -> None:
    here, there = open_store(), open_store(root=f"{root}2")
    here.set(LIMIT, 1)
    assert there.get(LIMIT).is_default
    assert there.get_all(Section("billing")).values == {}


def test_a_root_inside_another_is_a_part_of_it(open_store: Callable[..., ConfigStore], root: str) -> None:
    outer, inner = open_store(root=root), open_store(root=f"{root}/prod")
    beside = open_store(root=f"{root}/prod2")
    seen_outside = Key("prod.limit", int)
    limit = Key("limit", int)
    revision = inner.set(limit, 5).revision
    assert outer.get(seen_outside).revision == revision
    outer.set(seen_outside, 6)
    assert inner.get(limit).value == 6
    # What the inner one keeps for itself is no key of the outer one.
    assert dict(outer.get_all(Section("prod")).values) == {"prod.limit": 6}
    with pytest.raises(KeyNotSet):
        beside.get(limit)


def test_its_state_is_reported(store: ConfigStore) -> None:
    store.wait_synced(30)
    assert store.state is State.SYNCED
    assert store.stale_since is None
    assert store.last_error is None
    assert store.health()
    assert store.counters.last_contact is not None
    states: list[State] = []
    notified = threading.Event()

    def listen(state: State) -> None:
        states.append(state)
        notified.set()

    store.on_state(listen)
    store.close()
    assert notified.wait(10)
    assert states == [State.CLOSED]


def test_a_closed_store_says_so(store: ConfigStore) -> None:
    updates = store.subscribe(LIMIT)
    store.close()
    store.close()
    assert list(updates) == []
    for call in (
        lambda: store.get(LIMIT),
        lambda: store.set(LIMIT, 1),
        lambda: store.subscribe(LIMIT),
        lambda: store.live(LIMIT),
        lambda: store.wait_synced(1),
        lambda: store.wait_revision(1, 1),
    ):
        with pytest.raises(Closed):
            call()
    assert isinstance(store.health().error, Closed)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": True}, TypeError),
        ({"dead_after": 0.1}, ValueError),
        ({"patience": -1}, ValueError),
        ({"username": "x"}, ValueError),
        ({"tls": "yes"}, TypeError),
        ({"root": "config"}, ValueError),
    ],
)
def test_bad_arguments_fail_at_the_call(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ConfigStore("127.0.0.1:1", **options)


@pytest.mark.parametrize("bad", ["billing.limit", None, Section("billing")])
def test_a_key_is_needed(store: ConfigStore, bad: Any) -> None:
    for call in (store.get, store.delete, store.live, lambda key: store.set(key, 1)):
        with pytest.raises(TypeError, match="a Key is needed"):
            call(bad)


def test_the_first_of_its_two_connections_is_that_of_its_calls(
    netfault: Any, etcd_server: Any, root: str, tmp_path: Path
) -> None:
    """So "byte 212 of connection 2" names the same place in each run of a program."""
    for number in range(10):
        # At a path of our own: on a port that another program has just let go of, its clients would be counted too.
        link = netfault.forward(etcd_server.address, listen=f"unix:{tmp_path}/{number}")
        with ConfigStore(link.address, root=root) as store, store.subscribe(Section("numbers")) as updates:
            updates.get(30)
            before = link.connections
            for _ in range(20):
                store.get(Key("numbers.one", int, default=1))
            calls, watch = (
                after.bytes_up - one.bytes_up for one, after in zip(before, link.connections, strict=True)
            )
            assert calls > 2 * watch  # which may still acknowledge what it was sent
