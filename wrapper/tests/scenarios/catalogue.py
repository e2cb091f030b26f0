"""The scenarios. Each is a function that plays on a `Harness`; what was delivered is judged afterwards.

A scenario declares which gaps have to be reported to the subscriber (`resyncs`; anything else is an error), and within
how many seconds after the end of the fault (or its beginning, where it never ends) everything has to be delivered.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from runtime_config import STALE, SYNCED, ConfigStore, Key, OutcomeUnknown, State
from runtime_config.compat import etcd3

from pytest_netfault.servers.etcd import EtcdCluster

from .harness import LIMIT, PATIENT, QUICK, ROOT, TEXT, Follower, Harness


@dataclass(frozen=True)
class Scenario:
    """One scenario."""

    name: str
    title: str
    play: Callable[[Harness], None]
    resyncs: tuple[str, ...]
    within: float


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    title: str, *, resyncs: tuple[str, ...] = (), within: float = 2.0
) -> Callable[[Callable[[Harness], None]], Callable[[Harness], None]]:
    def add(play: Callable[[Harness], None]) -> Callable[[Harness], None]:
        SCENARIOS[play.__name__] = Scenario(play.__name__, title, play, resyncs, within)
        return play

    return add


@scenario("connections end with FIN, new ones are served")
def cut_fin(harness: Harness) -> None:
    harness.serve_and_follow()
    fault = harness.link.sever()
    harness.write()
    fault.heal()
    harness.start_clock()
    harness.write()
    harness.catch_up()


@scenario("connections end with RST, new ones are served")
def cut_rst(harness: Harness) -> None:
    harness.serve_and_follow()
    harness.link.reset()
    harness.start_clock()
    harness.write()
    harness.write()
    harness.catch_up()


@scenario("cut, and refused for 3 s")
def refused(harness: Harness) -> None:
    harness.serve_and_follow()
    with harness.outage(harness.link.sever()):
        harness.write()
        harness.write()
    harness.write()
    harness.catch_up()


@scenario("the same, before any change was ever seen")
def quiet(harness: Harness) -> None:
    harness.serve()
    harness.follow()
    with harness.outage(harness.link.sever()):
        harness.wait_state(STALE)
        harness.write()
    harness.write()
    harness.catch_up()


@scenario("the server is killed (SIGKILL) and comes back")
def killed(harness: Harness) -> None:
    harness.serve_and_follow()
    harness.server.revision()  # servers before 3.5.5 acknowledge a moment before they have written
    harness.server.kill()
    harness.hold(harness.timing.refused)
    harness.server.start()
    harness.start_clock()
    harness.write()
    harness.write()
    harness.catch_up()


@scenario("the server is frozen (SIGSTOP) for 20 s")
def stopped(harness: Harness) -> None:
    harness.serve_and_follow()
    harness.server.pause()
    try:
        harness.hold(harness.timing.stopped)
    finally:
        harness.server.resume()
    harness.start_clock()
    harness.write()
    harness.write()
    harness.catch_up()


@scenario("nothing passes for 25 s, then the same connections go on")
def frozen(harness: Harness) -> None:
    harness.serve_and_follow()
    with harness.outage(harness.link.blackhole(), harness.timing.frozen):
        harness.write()
        harness.write()
    harness.write()
    harness.catch_up()


@scenario("old connections are dead for ever and without a sign, new ones work", within=27.0)
def old_flows_dead(harness: Harness) -> None:
    harness.serve_and_follow()
    harness.start_clock()
    for connection in harness.link.connections:
        harness.link.cut(0, connection=connection.number, how="blackhole")
    harness.write()
    harness.write()
    harness.hold(harness.timing.watch)
    harness.catch_up()


@scenario("nothing comes from the server for 25 s, the other direction works")
def one_way(harness: Harness) -> None:
    harness.serve_and_follow()
    with harness.outage(harness.link.blackhole("down"), harness.timing.frozen):
        harness.write()
        harness.write()
    harness.write()
    harness.catch_up()


@scenario("five times: cut right after the watch was confirmed, before what was missed is sent")
def created_then_cut(harness: Harness) -> None:
    harness.serve_and_follow()
    missed: list[int] = [0]
    armed = threading.Event()
    early: list[bool] = []

    def confirmed(state: State) -> None:
        if state is SYNCED and armed.is_set():
            armed.clear()
            harness.link.reset()
            early.append(missed[0] not in harness.follower.delivered())

    harness.follower.store.on_state(confirmed)
    for _ in range(5):
        with harness.link.sever():
            harness.wait_state(STALE)
            harness.write()
            missed[0] = harness.write()
            armed.set()
        harness.start_clock()
        harness.follower.wait_for(missed[0])
    harness.note = f"{sum(early)} of {len(early)} cuts came in between"
    harness.catch_up()


@scenario("cut in the middle of a transaction that is sent in pieces")
def in_a_revision(harness: Harness) -> None:
    """A reply above 2 MiB is sent in pieces, and these end where they end: inside a transaction of a hundred keys."""
    harness.serve_and_follow()
    with harness.link.sever():
        for _ in range(4):
            harness.write_pieces()
        seen = harness.link.bytes_down
        cut = harness.link.cut(2_500_000, direction="down", how="fin")
    harness.link.wait_for_bytes(seen + 2_500_000, direction="down", timeout=PATIENT)
    harness.start_clock()
    cut.heal()
    harness.catch_up()


@scenario("history is compacted during an outage", resyncs=("compacted",))
def compacted(harness: Harness) -> None:
    harness.serve_and_follow()
    harness.follower.wait_for(harness.write(TEXT, "to be deleted"))
    with harness.outage(harness.link.sever()):
        harness.wait_state(STALE)
        harness.write()
        harness.writer.delete(TEXT)
        harness.write()
        harness.server.compact()
    harness.follower.wait_for_resync()
    harness.catch_up()
    assert harness.follower.store.counters.resyncs == 1, "the resync was not counted"


@scenario("history is compacted between the first read and the watch")
def compacted_early(harness: Harness) -> None:
    """The watch is on its way, in a slow line, when history is compacted: what the store had read first is gone.
    The subscription starts from a listing of its own, which is newer: it misses nothing, and nothing is reported."""
    harness.serve()
    harness.writer = harness.store(harness.server.address)
    harness.write()
    slow = harness.link.delay(0.3, direction="up")
    store = harness.store(harness.link.address, wait=False)
    harness.follower = Follower(store, timeout=0.01)
    deadline = time.monotonic() + PATIENT
    while store.revision == 0 and time.monotonic() < deadline:  # until the first read is answered
        threading.Event().wait(0.002)
    with harness.outage(harness.link.blackhole("up"), 0.0):
        harness.write()
        harness.write()
        harness.server.compact()
    slow.heal()
    harness.catch_up()


def _wipe(harness: Harness, writes: int) -> None:
    data = harness.folder() / "data"
    harness.log_ends = True
    harness.serve_and_follow(f"--data-dir={data}")
    harness.write()
    harness.follower.wait_for(harness.write())
    with harness.outage(harness.link.sever()):
        harness.wait_state(STALE)
        harness.server.kill()
        shutil.rmtree(data)
        harness.server.start()
        harness.records.append({})
        for _ in range(writes):
            harness.write()
    harness.follower.wait_for_resync()
    harness.catch_up()


@scenario("the server's data is wiped during an outage", resyncs=("store_replaced",))
def wiped(harness: Harness) -> None:
    _wipe(harness, 1)


@scenario("the same, and written on beyond the revision where it was", resyncs=("store_replaced",))
def wiped_and_ahead(harness: Harness) -> None:
    _wipe(harness, 12)


@scenario("the token runs out during an outage")
def token_expired(harness: Harness) -> None:
    harness.serve("--auth-token-ttl=2")
    harness.log_ends = True
    rpc = etcd3.etcdrpc
    with grpc.insecure_channel(harness.server.address) as channel:
        auth = rpc.AuthStub(channel)
        auth.UserAdd(rpc.AuthUserAddRequest(name="root", password="root"), timeout=PATIENT)
        auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"), timeout=PATIENT)
        auth.AuthEnable(rpc.AuthEnableRequest(), timeout=PATIENT)
    harness.options = {"username": "root", "password": "root"}
    harness.follow()
    harness.follower.wait_for(harness.write())
    # The server forgets a simple token 2 s after its last use, and looks once a second.
    with harness.outage(harness.link.sever(), max(3.5, harness.timing.refused)):
        harness.write()
    harness.write()
    harness.catch_up()


@scenario("the member in use loses its quorum, and others have one", within=10.0)
def no_quorum(harness: Harness) -> None:
    cluster = harness.server = harness.opened(EtcdCluster(harness.binary, harness.net.forward))
    harness.link = harness.net.forward(cluster.addresses[0])
    harness.follow([harness.link.address, cluster.addresses[1]], cluster.addresses[1:])
    harness.follower.wait_for(harness.write())
    harness.start_clock()
    with cluster.partition(["m1"], ["m2", "m3"]):
        harness.write()
        harness.write()
        harness.catch_up()


@scenario("the reply of a write is lost, then the outcome is settled")
def reply_lost(harness: Harness) -> None:
    harness.serve_and_follow()
    store = harness.follower.store
    with harness.outage(harness.link.blackhole("down", on_heal="reset")):
        try:
            store.set(LIMIT, -1, timeout=0.5)
        except OutcomeUnknown as error:
            unknown = error
        else:
            raise AssertionError("a write without a reply returned")
    applied = store.settle(unknown)
    assert applied is not None, "the write was applied, and settle() denies it"
    harness.records[-1][applied] = {LIMIT.name: -1}
    harness.catch_up()


@scenario("a black hole while the store is opened")
def black_hole_at_start(harness: Harness) -> None:
    harness.serve()
    harness.writer = harness.store(harness.server.address)
    with harness.outage(harness.link.blackhole(), harness.timing.frozen):
        store = harness.store(harness.link.address, wait=False, dead_after=harness.timing.dead_after)
        harness.follower = Follower(store, timeout=0.01)
        harness.write()
        harness.write()
    harness.write()
    harness.catch_up()


@scenario("a black hole while the store is closed", within=1.0)
def black_hole_at_close(harness: Harness) -> None:
    harness.serve()
    harness.writer = harness.store(harness.server.address)
    harness.writer.wait_synced(PATIENT)  # its threads are there
    harness.write()
    before = set(_threads())
    store = ConfigStore(harness.link.address, root=ROOT, dead_after=harness.timing.dead_after)
    try:
        harness.follower = Follower(store)
        harness.follower.wait_for(harness.write())
        with harness.outage(harness.link.blackhole()):
            pass
        with harness.link.blackhole():
            harness.start_clock()
            store.close()
            harness.stop_clock()
    finally:
        store.close()
    left = set(_threads()) - before
    assert not left, f"close() left {sorted(thread.name for thread in left)}"


def _threads() -> list[threading.Thread]:
    """The wrapper's, and those of gRPC's Python side; the proxy's and the log reader's have other names."""
    marks = ("runtime-config", "channel_spin", "consume_request_iterator", "_poll")
    return [thread for thread in threading.enumerate() if any(mark in thread.name for mark in marks)]


@scenario("6 MB of changes wait after an outage", within=5.0)
def backlog(harness: Harness) -> None:
    harness.serve_and_follow()
    big = Key("scenario.big", str)
    with harness.outage(harness.link.sever()):
        for number in range(6):
            harness.write(big, f"{number}" + "x" * 1_000_000)
        harness.write_pieces()
    harness.catch_up()


@scenario("the subscriber takes nothing while 18 MB of changes arrive", resyncs=("overflow",))
def slow_consumer(harness: Harness) -> None:
    harness.serve_and_follow()
    big = Key("scenario.big", str)
    with harness.follower.busy():
        for number in range(18):
            last = harness.write(big, f"{number}" + "x" * 1_000_000)
        # The feed has delivered all of it: to keep it, or to bridge it.
        harness.follower.store.wait_revision(last, PATIENT)
        harness.hold(harness.timing.watch)
    harness.start_clock()
    harness.catch_up()
    assert harness.follower.store.counters.overflows == 1, "the overflow was not counted"


@scenario("nothing happens for 60 s: no reconnect, no ping too many")
def idle(harness: Harness) -> None:
    harness.serve()
    # Long enough that a machine which pauses does not look like a dead link, short enough that the server is asked.
    harness.follow(dead_after=max(harness.timing.dead_after, 1.8 * QUICK.idle))
    harness.follower.wait_for(harness.write())
    harness.hold(harness.timing.idle)
    again = harness.follower.store.counters.reconnects
    assert again == 0, f"a quiet connection was given up {again} times"
    harness.start_clock()
    harness.catch_up()
