"""A store belongs to the process that opened it: everything in a forked child says so, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# What the child tries with the store that it inherited. Each must raise Closed and name the fork.
TRIES = """
    "get": lambda: store.get(key),
    "get_all": lambda: store.get_all(Section("end")),
    "set": lambda: store.set(key, 1),
    "compare_and_set": lambda: store.compare_and_set(key, ABSENT, 1),
    "delete": lambda: store.delete(key),
    "update": lambda: store.update(key, lambda old: old),
    "transaction": lambda: store.transaction(),
    "an open transaction": lambda: opened.__exit__(None, None, None),
    "settle": lambda: store.settle(OutcomeUnknown("?", write_id="0" * 32)),
    "subscribe": lambda: store.subscribe(key),
    "on_change": lambda: store.on_change(key, print),
    "live": lambda: store.live(key),
    "on_state": lambda: store.on_state(print),
    "wait_synced": lambda: store.wait_synced(),
    "wait_revision": lambda: store.wait_revision(1),
    "health": lambda: store.health(),
    "with": lambda: store.__enter__(),
    "iterating": lambda: next(updates),
    "an item that had come": lambda: updates.get(0),
    "live.value": lambda: live.value,
    "live.revision": lambda: live.revision,
    "live.age": lambda: live.age,
    "live.on_change": lambda: live.on_change(print),
"""
SCRIPT = """
import os, threading, warnings
from runtime_config import *
from runtime_config import CLOSED
key = Key("end.limit", int, default=1)
store = ConfigStore({address!r}, root={root!r})
updates = store.subscribe(key)
live = store.live(key)
handle, watching = store.on_change(key, lambda item: None), store.on_state(lambda state: None)
store.set(key, 7)
store.wait_revision(store.get(key).revision)
opened = store.transaction().__enter__()
opened.set(key, 8)
tries = {{{tries}}}
# Locks that are held at the fork stay locked in the child. (At a quiet moment of gRPC: a child that is forked
# while it is at work may be ended by gRPC itself.)
locks = [store._following._lock, store._resources._lock, store._monitor._changed, store._feed.sinks._changed]
locks += [updates.lock, live.lock]
for lock in locks:
    lock.acquire()
child = os.fork()
for lock in locks if child else ():
    lock.release()
if child == 0:
    import faulthandler
    faulthandler.dump_traceback_later(20, exit=True)
    for name, call in tries.items():
        try:
            call()
        except Closed as error:
            if "before a fork" in str(error):
                continue
        except BaseException as error:
            os.write(2, f"{{name}}: {{error!r}}\\n".encode())
        os.write(1, f"{{name}} did not say so\\n".encode())
    if store.state is not CLOSED or "fork" not in str(store.last_error) or "closed" not in repr(store):
        os.write(1, b"state\\n")
    handle.cancel()
    watching.cancel()
    updates.close()
    store.close()
    del opened, updates, live, handle, watching, tries, call, locks, lock
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del store  # not the child's to close, so nothing to warn about
    os.write(1, b"child done\\n")
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
with store:
    store.set(key, 9)
    print(status, updates.get(30).values[key], updates.get(30).revision > 0, updates.get(30).changes[0].new)
    store.wait_synced(30)
    print(live.value, live.age < 60, store.health(30).healthy)
"""


def test_everything_that_crossed_a_fork_says_so(etcd_server: Any, root: str, tmp_path: Path) -> None:
    script = tmp_path / "forking.py"
    script.write_text(SCRIPT.format(address=etcd_server.address, root=root, tries=TRIES))
    command = [sys.executable, "-W", "ignore", str(script)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert out.stdout.splitlines() == ["child done", "0 1 True 9", "9 True True"], out.stdout + out.stderr


def test_a_store_is_opened_after_a_fork_in_each_worker(etcd_server: Any, root: str, tmp_path: Path) -> None:
    script = tmp_path / "workers.py"
    script.write_text(f"""
import os
from runtime_config import ConfigStore, Key
key = Key("end.count", int, default=0)
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        with ConfigStore({etcd_server.address!r}, root={root!r}, timeout=60) as store:
            store.update(key, lambda count: count + 1)
        os._exit(0)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
with ConfigStore({etcd_server.address!r}, root={root!r}, timeout=60) as store:
    print(store.get(key).value)
""")
    command = [sys.executable, "-W", "error", str(script)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert out.stdout.split("\n")[:2] == ["[0, 0]", "2"], out.stderr
