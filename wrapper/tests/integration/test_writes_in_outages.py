"""Writes that do not lie: applied, certainly not applied, or unknown and then settled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from runtime_config import (
    ABSENT,
    ConfigStore,
    Conflict,
    DeadlineExceeded,
    Key,
    KeyNotSet,
    OutcomeUnknown,
    Section,
    Unavailable,
)
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.writes import Put, Write
from runtime_config.compat import etcd3

pytestmark = pytest.mark.slow

LIMIT = Key("writes.limit", int)
COUNT = Key("writes.count", int, default=0)
PATIENT = 60.0


@pytest.fixture
def link(netfault: Any, etcd_server: Any) -> Any:
    return netfault.forward(etcd_server.address)


@pytest.fixture
def writer(open_store: Callable[..., ConfigStore]) -> ConfigStore:
    return open_store(timeout=PATIENT)


@pytest.fixture
def linked(open_store: Callable[..., ConfigStore], link: Any) -> ConfigStore:
    store = open_store(link.address, timeout=PATIENT, dead_after=1.0)
    store.get(COUNT)
    return store


def nothing_listening(store: ConfigStore) -> list[Callable[[], object]]:
    def commit() -> None:
        with store.transaction(timeout=0.3) as txn:
            txn.set(LIMIT, 1)

    return [
        lambda: store.get(COUNT, timeout=0.3),
        lambda: store.get_all(Section("writes"), timeout=0.3),
        lambda: store.set(LIMIT, 1, timeout=0.3),
        lambda: store.delete(LIMIT, timeout=0.3),
        lambda: store.compare_and_set(LIMIT, ABSENT, 1, timeout=0.3),
        lambda: store.update(COUNT, lambda value: value + 1, timeout=0.3),
        commit,
    ]


def test_with_nothing_listening_every_call_is_unavailable_in_time(netfault: Any, etcd_server: Any) -> None:
    link = netfault.forward(etcd_server.address)
    # Refused before the store is opened: what had connected by then would live on.
    with link.refuse(), ConfigStore(link.address, wait=False, timeout=PATIENT) as store:
        for call in nothing_listening(store):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                call()
            assert time.monotonic() - began < 10
        with pytest.raises(Unavailable):
            ConfigStore(link.address, timeout=0.3)
        assert not store.health(0.3)
        with pytest.raises(DeadlineExceeded):
            store.wait_synced(0.1)


def test_without_patience_a_refusal_is_raised_at_once(netfault: Any, etcd_server: Any) -> None:
    link = netfault.forward(etcd_server.address)
    with link.refuse(), ConfigStore(link.address, wait=False, patience=0, timeout=PATIENT) as store:
        with pytest.raises(Unavailable):
            store.set(LIMIT, 1)


def test_a_call_outlives_a_short_outage(linked: ConfigStore, link: Any) -> None:
    fault = link.sever()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(linked.get, COUNT)
        threading.Event().wait(0.1)
        fault.heal()
        assert waiting.result(PATIENT).value == 0


def test_a_read_finds_a_new_connection_when_the_old_one_is_dead(
    open_store: Callable[..., ConfigStore], link: Any
) -> None:
    store = open_store(link.address, timeout=4.0)
    store.get(COUNT)
    for connection in link.connections:
        link.cut(0, connection=connection.number, how="blackhole")
    assert store.get(COUNT).value == 0


def test_a_lost_reply_is_unknown_and_settles_as_applied(
    linked: ConfigStore, writer: ConfigStore, link: Any
) -> None:
    with link.blackhole("down"):
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match=r"writes\.limit") as caught:
            linked.set(LIMIT, 7, timeout=0.5)
        assert time.monotonic() - began < 10
        assert writer.get(LIMIT).value == 7
    assert linked.settle(caught.value) == writer.get(LIMIT).revision
    assert writer.settle(caught.value) == writer.get(LIMIT).revision, "any store of the root can tell"


def test_it_settles_as_applied_although_others_wrote_since(
    linked: ConfigStore, writer: ConfigStore, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(f"00{number:030x}" for number in range(100))  # all in one slot
    monkeypatch.setattr("runtime_config._etcd.writes.secrets.token_hex", lambda _: next(ids))
    with link.blackhole("down"), pytest.raises(OutcomeUnknown) as caught:
        linked.set(LIMIT, 7, timeout=0.5)
    applied = writer.get(LIMIT).revision
    for number in range(5):
        writer.set(COUNT, number)
    assert linked.settle(caught.value) == applied


def test_a_delete_can_be_settled_too(linked: ConfigStore, writer: ConfigStore, link: Any) -> None:
    writer.set(LIMIT, 1)
    with link.blackhole("down"), pytest.raises(OutcomeUnknown) as caught:
        linked.delete(LIMIT, timeout=0.5)
    with pytest.raises(KeyNotSet):
        writer.get(LIMIT)
    assert linked.settle(caught.value) is not None


def test_a_lost_request_settles_as_not_applied(linked: ConfigStore, writer: ConfigStore, link: Any) -> None:
    fault = link.blackhole("up", on_heal="reset")
    with pytest.raises(OutcomeUnknown) as caught:
        linked.set(LIMIT, 7, timeout=0.5)
    assert writer.settle(caught.value) is None
    fault.heal()
    assert linked.settle(caught.value) is None
    with pytest.raises(KeyNotSet):
        writer.get(LIMIT)


@pytest.mark.parametrize("settled", [True, False])
def test_a_request_that_arrives_after_it_was_settled_is_void(
    writer: ConfigStore, link: Any, root: str, settled: bool
) -> None:
    """A partition may hold a request for minutes; here it holds one that is sent without the wrapper's calls."""
    floor = writer.set(COUNT, 1).revision
    write = Write.of([], [Put(LIMIT.name, b"7")])
    with grpc.insecure_channel(link.address) as channel:
        stub = etcd3.etcdrpc.KVStub(channel)
        stub.Range(etcd3.etcdrpc.RangeRequest(key=b"x"), timeout=PATIENT)
        with link.blackhole("up"):
            late = stub.Txn.future(write.request(Layout(root), floor), timeout=PATIENT)
            if settled:
                error = OutcomeUnknown("as the call would raise it", write_id=write.write_id, floor=floor)
                assert writer.settle(error) is None
        assert late.result(PATIENT).succeeded is not settled
    if settled:
        assert writer.settle(error) is None


def test_compare_and_set_recognises_its_own_first_try(
    linked: ConfigStore, writer: ConfigStore, link: Any
) -> None:
    with writer.subscribe(LIMIT) as updates:
        updates.get(PATIENT)
        fault = link.blackhole("down", on_heal="reset")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(linked.compare_and_set, LIMIT, ABSENT, 7)
            applied = updates.get(PATIENT).revision  # it was applied, and its reply is held
            fault.heal()
            assert waiting.result(PATIENT).revision == applied
    assert linked.get(LIMIT).version == 1


def test_compare_and_set_recognises_it_although_another_was_faster_since(
    linked: ConfigStore, writer: ConfigStore, link: Any
) -> None:
    with writer.subscribe(LIMIT) as updates:
        updates.get(PATIENT)
        fault = link.blackhole("down", on_heal="reset")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(linked.compare_and_set, LIMIT, ABSENT, 7)
            applied = updates.get(PATIENT).revision
            writer.set(LIMIT, 8)
            fault.heal()
            assert waiting.result(PATIENT).revision == applied
    assert linked.get(LIMIT).value == 8


def test_a_real_conflict_after_a_lost_try_is_a_conflict(
    linked: ConfigStore, writer: ConfigStore, link: Any
) -> None:
    fault = link.blackhole("up", on_heal="reset")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(linked.compare_and_set, LIMIT, ABSENT, 7)
        while not fault.met_traffic:  # its request is held
            assert not waiting.done()
        writer.set(LIMIT, 8)
        fault.heal()
        with pytest.raises(Conflict):
            waiting.result(PATIENT)
    assert linked.get(LIMIT).value == 8


def test_a_fence_stops_nobody_who_began_after_it(
    linked: ConfigStore, writer: ConfigStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`linked` has last seen a revision from before the fence; its write is refused once, and made again."""
    monkeypatch.setattr("runtime_config._etcd.writes.secrets.token_hex", lambda _: "ab" * 16)
    linked.set(COUNT, 1)
    error = OutcomeUnknown("made up", write_id="ab" + "0" * 30, floor=writer.get(COUNT).revision)
    assert writer.settle(error) is None
    assert linked.set(LIMIT, 5).value == 5
    assert writer.get(LIMIT).value == 5


def test_settle_needs_its_error(writer: ConfigStore) -> None:
    with pytest.raises(TypeError, match="OutcomeUnknown"):
        writer.settle(ValueError())  # type: ignore[arg-type]


# The cutter is blind: between the end of one connection and the next there may be nothing to cut.
@pytest.mark.filterwarnings("ignore::pytest_netfault.events.LinkWarning")
def test_eight_writers_lose_no_increment_under_cuts(
    open_store: Callable[..., ConfigStore], writer: ConfigStore, link: Any
) -> None:
    stores = [open_store(link.address, timeout=PATIENT, dead_after=1.0) for _ in range(8)]
    stop = threading.Event()

    def cut() -> None:
        while not stop.wait(0.05):
            link.reset()

    def count(store: ConfigStore) -> int:
        done = 0
        for _ in range(10):
            store.update(COUNT, lambda value: value + 1)
            done += 1
        return done

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            done = sum(pool.map(count, stores))
    finally:
        stop.set()
        cutter.join()
    assert done == 80
    assert writer.get(COUNT).value == 80


@pytest.mark.parametrize("how", ["sever", "reset"])
def test_every_write_around_a_cut_is_reported_correctly(
    linked: ConfigStore, writer: ConfigStore, link: Any, how: str
) -> None:
    """Write in a loop, cut in between: what was acknowledged is there, what was rejected is not, the rest settles."""
    applied: list[int] = []
    with writer.subscribe(LIMIT) as updates:
        updates.get(PATIENT)
        for number in range(40):
            if number % 8 == 3:
                getattr(link, how)().heal()
            try:
                applied.append(linked.set(LIMIT, number).revision)
            except OutcomeUnknown as unknown:
                settled = linked.settle(unknown)
                if settled is not None:
                    applied.append(settled)
            except Unavailable:
                continue
        assert [updates.get(PATIENT).revision for _ in applied] == applied


def test_a_failed_connect_is_worded_as_we_know_it() -> None:
    """`Unavailable` for a write depends on how gRPC words a connect that failed; this is the installed gRPC's."""
    with ConfigStore("127.0.0.1:1", wait=False, patience=0) as store, pytest.raises(Unavailable):
        store.set(LIMIT, 1)
