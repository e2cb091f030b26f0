"""The scenarios. Each is a function that plays on a `Scene`; what was handed over is judged afterwards.

A row says which gaps the subscriber has to be told of (`told`; anything else is an error), and within how many
seconds after the end of the fault (or its beginning, where it never ends) everything has to be there.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from runtime_config import STALE, SYNCED, ConfigStore, Key, OutcomeUnknown, Resynced, State
from runtime_config.compat import etcd3

from pytest_netfault.servers.etcd import EtcdCluster

from .scene import LIMIT, PATIENT, QUICK, ROOT, TEXT, Follower, Scene


@dataclass(frozen=True)
class Row:
    """One scenario."""

    name: str
    title: str
    play: Callable[[Scene], None]
    told: tuple[str, ...]
    within: float


ROWS: dict[str, Row] = {}


def row(
    title: str, *, told: tuple[str, ...] = (), within: float = 2.0
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    def add(play: Callable[[Scene], None]) -> Callable[[Scene], None]:
        ROWS[play.__name__] = Row(play.__name__, title, play, told, within)
        return play

    return add


@row("connections end with FIN, new ones are served")
def cut_fin(scene: Scene) -> None:
    scene.follow_one()
    fault = scene.link.sever()
    scene.write()
    fault.heal()
    scene.clock()
    scene.write()
    scene.settle()


@row("connections end with RST, new ones are served")
def cut_rst(scene: Scene) -> None:
    scene.follow_one()
    scene.link.reset()
    scene.clock()
    scene.write()
    scene.write()
    scene.settle()


@row("cut, and refused for 3 s")
def refused(scene: Scene) -> None:
    scene.follow_one()
    with scene.outage(scene.link.sever()):
        scene.write()
        scene.write()
    scene.write()
    scene.settle()


@row("the same, before any change was ever seen")
def quiet(scene: Scene) -> None:
    scene.serve()
    scene.follow()
    with scene.outage(scene.link.sever()):
        scene.wait_state(STALE)
        scene.write()
    scene.write()
    scene.settle()


@row("the server is killed (SIGKILL) and comes back")
def killed(scene: Scene) -> None:
    scene.follow_one()
    scene.server.revision()  # servers before 3.5.5 acknowledge a moment before they have written
    scene.server.kill()
    scene.hold(scene.pace.refused)
    scene.server.start()
    scene.clock()
    scene.write()
    scene.write()
    scene.settle()


@row("the server is frozen (SIGSTOP) for 20 s")
def stopped(scene: Scene) -> None:
    scene.follow_one()
    scene.server.pause()
    try:
        scene.hold(scene.pace.stopped)
    finally:
        scene.server.resume()
    scene.clock()
    scene.write()
    scene.write()
    scene.settle()


@row("nothing passes for 25 s, then the same connections go on")
def frozen(scene: Scene) -> None:
    scene.follow_one()
    with scene.outage(scene.link.blackhole(), scene.pace.frozen):
        scene.write()
        scene.write()
    scene.write()
    scene.settle()


@row("old connections are dead for ever and without a sign, new ones work", within=27.0)
def old_flows_dead(scene: Scene) -> None:
    scene.follow_one()
    scene.clock()
    for connection in scene.link.connections:
        scene.link.cut(0, connection=connection.number, how="blackhole")
    scene.write()
    scene.write()
    scene.hold(scene.pace.watch)
    scene.settle()


@row("nothing comes from the server for 25 s, the other direction works")
def one_way(scene: Scene) -> None:
    scene.follow_one()
    with scene.outage(scene.link.blackhole("down"), scene.pace.frozen):
        scene.write()
        scene.write()
    scene.write()
    scene.settle()


@row("five times: cut right after the watch was confirmed, before what was missed is sent")
def created_then_cut(scene: Scene) -> None:
    scene.follow_one()
    missed: list[int] = [0]
    armed = threading.Event()
    early: list[bool] = []

    def confirmed(state: State) -> None:
        if state is SYNCED and armed.is_set():
            armed.clear()
            scene.link.reset()
            early.append(missed[0] not in scene.follower.handed())

    scene.follower.store.on_state(confirmed)
    for _ in range(5):
        with scene.link.sever():
            scene.wait_state(STALE)
            scene.write()
            missed[0] = scene.write()
            armed.set()
        scene.clock()
        scene.follower.wait_for(missed[0])
    scene.note = f"{sum(early)} of {len(early)} cuts came in between"
    scene.settle()


@row("cut in the middle of a transaction that is sent in pieces")
def in_a_revision(scene: Scene) -> None:
    """A reply above 2 MiB is sent in pieces, and these end where they end: inside a transaction of a hundred keys."""
    scene.follow_one()
    with scene.link.sever():
        for _ in range(4):
            scene.write_pieces()
        seen = scene.link.bytes_down
        cut = scene.link.cut(2_500_000, direction="down", how="fin")
    scene.link.wait_for_bytes(seen + 2_500_000, direction="down", timeout=PATIENT)
    scene.clock()
    cut.heal()
    scene.settle()


@row("history is compacted during an outage", told=("compacted",))
def compacted(scene: Scene) -> None:
    scene.follow_one()
    scene.follower.wait_for(scene.write(TEXT, "to be deleted"))
    with scene.outage(scene.link.sever()):
        scene.wait_state(STALE)
        scene.write()
        scene.writer.delete(TEXT)
        scene.write()
        scene.server.compact()
    scene.follower.wait_for_resync()
    scene.settle()
    assert scene.follower.store.counters.resyncs == 1, "the resync was not counted"


@row("history is compacted between the first read and the watch", told=("compacted",))
def compacted_early(scene: Scene) -> None:
    """The watch is on its way, in a slow line, when history is compacted. A machine that pauses just then may let it
    arrive before: then nothing had to be told, and it is played again."""
    scene.serve()
    scene.writer = scene.store(scene.server.address)
    scene.write()
    for _ in range(5):
        slow = scene.link.delay(0.3, direction="up")
        store = scene.store(scene.link.address, wait=False)
        scene.follower = Follower(store, timeout=0.01)
        deadline = time.monotonic() + PATIENT
        while store.revision == 0 and time.monotonic() < deadline:  # until the first read is answered
            threading.Event().wait(0.002)
        with scene.outage(scene.link.blackhole("up"), 0.0):
            scene.write()
            scene.write()
            scene.server.compact()
        slow.heal()
        scene.settle()
        if any(isinstance(item, Resynced) for item in scene.follower.items):
            return
        store.close()


def _wipe(scene: Scene, writes: int) -> None:
    data = scene.folder() / "data"
    scene.log_ends = True
    scene.follow_one(f"--data-dir={data}")
    scene.write()
    scene.follower.wait_for(scene.write())
    with scene.outage(scene.link.sever()):
        scene.wait_state(STALE)
        scene.server.kill()
        shutil.rmtree(data)
        scene.server.start()
        scene.records.append({})
        for _ in range(writes):
            scene.write()
    scene.follower.wait_for_resync()
    scene.settle()


@row("the server's data is wiped during an outage", told=("store_replaced",))
def wiped(scene: Scene) -> None:
    _wipe(scene, 1)


@row("the same, and written on beyond the revision where it was", told=("store_replaced",))
def wiped_and_ahead(scene: Scene) -> None:
    _wipe(scene, 12)


@row("the token runs out during an outage")
def token_expired(scene: Scene) -> None:
    scene.serve("--auth-token-ttl=2")
    scene.log_ends = True
    rpc = etcd3.etcdrpc
    with grpc.insecure_channel(scene.server.address) as channel:
        auth = rpc.AuthStub(channel)
        auth.UserAdd(rpc.AuthUserAddRequest(name="root", password="root"), timeout=PATIENT)
        auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"), timeout=PATIENT)
        auth.AuthEnable(rpc.AuthEnableRequest(), timeout=PATIENT)
    scene.options = {"username": "root", "password": "root"}
    scene.follow()
    scene.follower.wait_for(scene.write())
    # The server forgets a simple token 2 s after its last use, and looks once a second.
    with scene.outage(scene.link.sever(), max(3.5, scene.pace.refused)):
        scene.write()
    scene.write()
    scene.settle()


@row("the member in use loses its quorum, and others have one", within=10.0)
def no_quorum(scene: Scene) -> None:
    cluster = scene.server = scene.opened(EtcdCluster(scene.binary, scene.net.forward))
    scene.link = scene.net.forward(cluster.addresses[0])
    scene.follow([scene.link.address, cluster.addresses[1]], cluster.addresses[1:])
    scene.follower.wait_for(scene.write())
    scene.clock()
    with cluster.partition(["m1"], ["m2", "m3"]):
        scene.write()
        scene.write()
        scene.settle()


@row("the reply of a write is lost, then the outcome is settled")
def reply_lost(scene: Scene) -> None:
    scene.follow_one()
    store = scene.follower.store
    with scene.outage(scene.link.blackhole("down", on_heal="reset")):
        try:
            store.set(LIMIT, -1, timeout=0.5)
        except OutcomeUnknown as error:
            unknown = error
        else:
            raise AssertionError("a write without a reply returned")
    applied = store.settle(unknown)
    assert applied is not None, "the write was applied, and settle() denies it"
    scene.records[-1][applied] = {LIMIT.name: -1}
    scene.settle()


@row("a black hole while the store is opened")
def black_hole_at_start(scene: Scene) -> None:
    scene.serve()
    scene.writer = scene.store(scene.server.address)
    with scene.outage(scene.link.blackhole(), scene.pace.frozen):
        store = scene.store(scene.link.address, wait=False, dead_after=scene.pace.dead_after)
        scene.follower = Follower(store, timeout=0.01)
        scene.write()
        scene.write()
    scene.write()
    scene.settle()


@row("a black hole while the store is closed", within=1.0)
def black_hole_at_close(scene: Scene) -> None:
    scene.serve()
    scene.writer = scene.store(scene.server.address)
    scene.writer.wait_synced(PATIENT)  # its threads are there
    scene.write()
    before = set(_threads())
    store = ConfigStore(scene.link.address, root=ROOT, dead_after=scene.pace.dead_after)
    try:
        scene.follower = Follower(store)
        scene.follower.wait_for(scene.write())
        with scene.outage(scene.link.blackhole()):
            pass
        with scene.link.blackhole():
            scene.clock()
            store.close()
            scene.stop_clock()
    finally:
        store.close()
    left = set(_threads()) - before
    assert not left, f"close() left {sorted(thread.name for thread in left)}"


def _threads() -> list[threading.Thread]:
    """The wrapper's, and those of gRPC's Python side; the proxy's and the log reader's have other names."""
    marks = ("runtime-config", "channel_spin", "consume_request_iterator", "_poll")
    return [thread for thread in threading.enumerate() if any(mark in thread.name for mark in marks)]


@row("6 MB of changes wait after an outage", within=5.0)
def backlog(scene: Scene) -> None:
    scene.follow_one()
    big = Key("scene.big", str)
    with scene.outage(scene.link.sever()):
        for number in range(6):
            scene.write(big, f"{number}" + "x" * 1_000_000)
        scene.write_pieces()
    scene.settle()


@row("the subscriber takes nothing while 18 MB of changes arrive", told=("overflow",))
def slow_consumer(scene: Scene) -> None:
    scene.follow_one()
    big = Key("scene.big", str)
    with scene.follower.busy():
        for number in range(18):
            last = scene.write(big, f"{number}" + "x" * 1_000_000)
        # The feed has handed on all of it: to keep it, or to bridge it.
        scene.follower.store.wait_revision(last, PATIENT)
        scene.hold(scene.pace.watch)
    scene.clock()
    scene.settle()
    assert scene.follower.store.counters.overflows == 1, "the overflow was not counted"


@row("nothing happens for 60 s: no reconnect, no ping too many")
def idle(scene: Scene) -> None:
    scene.serve()
    # Long enough that a machine which pauses does not look like a dead link, short enough that the server is asked.
    scene.follow(dead_after=max(scene.pace.dead_after, 1.8 * QUICK.idle))
    scene.follower.wait_for(scene.write())
    scene.hold(scene.pace.idle)
    again = scene.follower.store.counters.reconnects
    assert again == 0, f"a quiet connection was given up {again} times"
    scene.clock()
    scene.settle()
