"""A store that is garbage-collected is released, and a warning says that it should have been closed."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import ConfigStore, Key

pytestmark = pytest.mark.slow

LIMIT = Key("drop.limit", int, default=1)


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "use",
    [
        "pass",
        "store.subscribe(key).get(30)",
        "store.live(key).value",
        "store.on_change(key, print_nothing).cancel()",
        "store.on_state(print_nothing).cancel()",
        "updates = store.subscribe(key); updates.get(30); updates = None",
        "store.transaction()",
        "cycle = [store]; cycle.append(cycle); cycle = None",
    ],
)
def test_dropped_stores_end_with_a_warning_each(etcd_server: Any, root: str, use: str) -> None:
    # An old gRPC keeps the two descriptors of its poller for the life of the process.
    out = run(
        f"""
import gc, os, threading, time, warnings
from runtime_config import ConfigStore, Key
key = Key("drop.limit", int, default=1)
print_nothing = lambda item: None
def left():
    return len(os.listdir("/proc/self/fd")) - descriptors, threading.active_count() - threads
descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(20):
        store = ConfigStore({etcd_server.address!r}, root={root!r}, timeout=30)
        {use}
        store = None
    deadline = time.monotonic() + 60
    while left() not in [(0, 0), (2, 0)] and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
messages = [str(one.message) for one in caught if one.category is ResourceWarning]
print(left() in [(0, 0), (2, 0)] or left(), len(messages), set(m.split(" ")[:2][1] for m in messages))
"""
    )
    assert (out.returncode, out.stdout.strip(), out.stderr) == (0, "True 20 {'<ConfigStore'}", "")


@pytest.mark.parametrize(
    "use",
    [
        "pass",
        "kept = store.subscribe(key); kept.get(30)",
        "kept = store.live(key)",
        "store.on_change(key, print_nothing)",
        "store.on_state(print_nothing)",
        "kept = store; store.cycle = store",
    ],
)
@pytest.mark.parametrize("option", ["-Wdefault", "-Werror", "-Wignore"])
def test_a_store_that_is_open_at_the_end_of_the_process(
    etcd_server: Any, root: str, use: str, option: str
) -> None:
    out = run(
        f"""
from runtime_config import ConfigStore, Key
key = Key("drop.limit", int, default=1)
print_nothing = lambda item: None
store = ConfigStore({etcd_server.address!r}, root={root!r})
{use}
print(store.get(key).value)
""",
        option,
    )
    assert (out.returncode, out.stdout.strip()) == (0, "1")
    assert option != "-Wignore" or not out.stderr
    if option == "-Wdefault":
        assert all("ResourceWarning: unclosed <ConfigStore" in line for line in out.stderr.splitlines())


@pytest.mark.parametrize("use", ["subscribe", "live", "on_change", "on_state"])
def test_what_is_in_use_keeps_a_store_open(etcd_server: Any, root: str, use: str) -> None:
    store = ConfigStore(etcd_server.address, root=root)
    there = weakref.ref(store)
    states: list[object] = []
    arguments = {
        "subscribe": (LIMIT,),
        "live": (LIMIT,),
        "on_change": (LIMIT, states.append),
        "on_state": (states.append,),
    }
    used = getattr(store, use)(*arguments[use])
    del store
    gc.collect()
    kept = there()
    assert kept is not None
    with kept:
        kept.set(LIMIT, 2)
    del used


def test_a_subscription_that_is_dropped_is_no_burden(open_store: Callable[..., ConfigStore]) -> None:
    store = open_store()
    dropped = weakref.ref(store.subscribe(LIMIT))
    store.wait_revision(store.set(LIMIT, 2).revision)
    gc.collect()
    assert dropped() is None
