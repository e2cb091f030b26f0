"""Nothing outlives a store: not in a black hole, not at the end of the process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import Closed, ConfigError, ConfigStore, Key, Section

pytestmark = pytest.mark.slow

LIMIT = Key("end.limit", int, default=1)


def ours() -> list[threading.Thread]:
    """Threads of the wrapper and of gRPC's Python side; the proxy's and etcd's watchers are not ours.

    Those of an earlier test may end meanwhile (a callback that it has just let go of), so compare with `<=`.
    """
    marks = ("runtime-config", "channel_spin", "consume_request_iterator", "_poll")
    return [thread for thread in threading.enumerate() if any(mark in thread.name for mark in marks)]


def test_closing_in_a_black_hole_takes_less_than_a_second(netfault: Any, etcd_server: Any, root: str) -> None:
    before = set(ours())
    link = netfault.forward(etcd_server.address)
    store = ConfigStore(link.address, root=root)
    updates = store.subscribe(Section("end"))
    store.on_change(LIMIT, lambda _: None)
    store.on_state(lambda _: None)
    store.live(LIMIT)
    store.wait_synced(30)
    with link.blackhole():
        waiting = threading.Thread(target=lambda: list(updates), name="runtime-config-test-consumer")
        waiting.start()
        began = time.monotonic()
        store.close()
        took = time.monotonic() - began
        waiting.join(10)
    assert took < 1.0
    assert set(ours()) <= before


def test_closing_while_it_connects_into_a_black_hole(netfault: Any, etcd_server: Any, root: str) -> None:
    before = set(ours())
    link = netfault.forward(etcd_server.address)
    with link.blackhole():
        store = ConfigStore(link.address, root=root, wait=False)
        assert not store.health(0.3)
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < 1.0
    assert set(ours()) <= before


def test_closing_while_calls_are_under_way_in_a_black_hole(
    netfault: Any, etcd_server: Any, root: str
) -> None:
    # With grpcio before 1.51 the process stood still for 10 s: the call's end was the last use of gRPC.
    before = set(ours())
    link = netfault.forward(etcd_server.address)
    store = ConfigStore(link.address, root=root)
    held, asked = threading.Event(), threading.Event()
    outcomes: list[type[Exception]] = []

    def ask(_: object) -> None:
        if not outcomes and held.wait(30):
            asked.set()
            try:
                store.get(LIMIT, timeout=60)
            except ConfigError as error:
                outcomes.append(type(error))

    store.on_change(LIMIT, ask)
    store.wait_synced(30)
    with link.blackhole() as hole:
        held.set()
        assert asked.wait(30)
        while not hole.met_traffic:  # the request is on its way into the hole
            threading.Event().wait(0.001)
        began = time.monotonic()
        store.close()
        took = time.monotonic() - began
    assert took < 1.0
    assert outcomes
    assert issubclass(outcomes[0], ConfigError)
    assert set(ours()) <= before


def test_a_store_that_could_not_be_opened_leaves_nothing(netfault: Any, etcd_server: Any) -> None:
    before = set(ours())
    link = netfault.forward(etcd_server.address)
    with link.refuse(), pytest.raises(Exception, match="no server could be reached"):
        ConfigStore(link.address, timeout=0.2)
    assert set(ours()) <= before


def test_many_stores_leave_nothing(etcd_server: Any, root: str) -> None:
    # In a process of its own, where nothing else is opened. gRPC closes its sockets a little after its channel;
    # an old one keeps the two descriptors of its poller for the life of the process.
    code = f"""
import os, threading, time
from runtime_config import ConfigStore, Key
limit = Key("end.limit", int, default=1)
def left():
    return len(os.listdir("/proc/self/fd")) - descriptors, threading.active_count() - threads
descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
for _ in range(40):
    with ConfigStore({etcd_server.address!r}, root={root!r}, timeout=30) as store:
        store.subscribe(limit).get(30)
        store.set(limit, 1)
deadline = time.monotonic() + 30
while left() not in [(0, 0), (2, 0)] and time.monotonic() < deadline:
    time.sleep(0.01)
print(left())
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout.strip() in ("(0, 0)", "(2, 0)")


def test_a_process_that_never_closes_ends_all_the_same(etcd_server: Any, root: str) -> None:
    code = f"""
from runtime_config import ConfigStore, Key, Section
store = ConfigStore({etcd_server.address!r}, root={root!r})
store.on_change(Section("end"), lambda item: None)
store.live(Key("end.limit", int, default=1))
print(store.get(Key("end.limit", int, default=1)).value)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (out.returncode, out.stdout.strip(), out.stderr) == (0, "1", "")


def test_ctrl_c_ends_a_wait(etcd_server: Any, root: str) -> None:
    code = f"""
import _thread, signal, threading, os
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, and that be inherited
from runtime_config import ConfigStore, Key
key = Key("end.limit", int, default=1)
with ConfigStore({etcd_server.address!r}, root={root!r}) as store:
    updates = store.subscribe(key)
    updates.get(30)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        updates.get()
    except KeyboardInterrupt:
        print("interrupted")
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert out.stdout.strip() == "interrupted", out.stderr


def test_a_callback_that_never_returns_does_not_hold_up_the_end(
    open_store: Callable[..., ConfigStore], caplog: pytest.LogCaptureFixture
) -> None:
    release, entered = threading.Event(), threading.Event()
    store = open_store()
    store.on_change(LIMIT, lambda _: (entered.set(), release.wait(60)))
    assert entered.wait(30)
    began = time.monotonic()
    try:
        store.close()
        assert time.monotonic() - began < 1.5
        assert "left behind" in caplog.text
    finally:
        release.set()


def test_closing_ends_waits_of_other_threads(open_store: Callable[..., ConfigStore]) -> None:
    store = open_store()
    outcomes: list[type[BaseException]] = []

    def wait() -> None:
        try:
            store.wait_revision(10**12, 60)
        except Exception as error:
            outcomes.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    store.close()
    thread.join(10)
    assert not thread.is_alive()
    assert outcomes == [Closed]
