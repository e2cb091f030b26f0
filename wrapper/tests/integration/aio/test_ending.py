"""Nothing outlives an asynchronous store, however its loop, its process or its user ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtime_config import Closed, ConfigError, Key, Section, State
from runtime_config.aio import AsyncConfigStore

pytestmark = pytest.mark.slow

LIMIT = Key("end.limit", int, default=1)
OnStore = Callable[..., None]


def ours() -> set[threading.Thread]:
    """Threads of the wrapper and of gRPC's Python side."""
    marks = ("runtime-config", "channel_spin", "consume_request_iterator", "_poll")
    return {thread for thread in threading.enumerate() if any(mark in thread.name for mark in marks)}


def gone(before: set[threading.Thread]) -> None:
    """Every thread of the wrapper that was not there before has ended; on a busy machine it may take its time."""
    for thread in ours() - before:
        thread.join(30)
    assert ours() <= before


def test_closing_in_a_black_hole_waits_for_nothing_in_it(netfault: Any, etcd_server: Any, root: str) -> None:
    before = ours()
    link = netfault.forward(etcd_server.address)

    async def main() -> float:
        async with AsyncConfigStore(link.address, root=root, timeout=30) as store:
            updates = await store.subscribe(Section("end"))
            await store.on_change(LIMIT, lambda _: None)
            await store.on_state(lambda _: None)
            await store.live(LIMIT)
            await store.wait_synced(30)
            with link.blackhole():
                waiting = asyncio.ensure_future(_all(updates))
                calls = [asyncio.ensure_future(store.get(LIMIT, timeout=60)) for _ in range(3)]
                synced = asyncio.ensure_future(store.wait_revision(10**12, 60))
                await asyncio.sleep(0.05)
                began = time.monotonic()
                await store.close()
                took = time.monotonic() - began
            await waiting
            for call in (*calls, synced):
                with pytest.raises(ConfigError):
                    await call
            assert len(asyncio.all_tasks()) == 1
        return took

    assert asyncio.run(main()) < 10.0  # the calls in it may take 60 s
    gone(before)


async def _all(updates: Any) -> list[Any]:
    return [item async for item in updates]


def test_a_callback_that_does_not_return_is_cancelled_by_close(
    on_store: OnStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(store: AsyncConfigStore) -> None:
        entered = asyncio.Event()

        async def callback(_: object) -> None:
            entered.set()
            await asyncio.sleep(3600)

        await store.on_change(LIMIT, callback)
        await entered.wait()
        await store.close()
        assert "a callback did not return, and is cancelled" in caplog.text
        assert len(asyncio.all_tasks()) == 1

    on_store(main)


def test_it_may_be_closed_in_a_callback(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        done = asyncio.Event()

        async def callback(_: object) -> None:
            await store.close()
            done.set()

        await store.on_change(LIMIT, callback)
        await asyncio.wait_for(done.wait(), 30)
        assert store.state is State.CLOSED

    on_store(main)


def test_cancelling_the_end_does_not_stop_it(etcd_server: Any, root: str) -> None:
    before = ours()

    async def main() -> None:
        store = await AsyncConfigStore(etcd_server.address, root=root, timeout=30)
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await store.close()
        gone(before)

    asyncio.run(main())


def test_a_store_that_is_dropped_is_released_with_a_warning(etcd_server: Any, root: str) -> None:
    before = ours()

    async def main() -> None:
        stores = [await AsyncConfigStore(etcd_server.address, root=root, timeout=30)]
        await stores[0].get(LIMIT)
        with pytest.warns(
            ResourceWarning, match=r"unclosed <AsyncConfigStore .*await close\(\), or use 'async with'"
        ):
            stores.clear()
        gone(before)
        never_opened = AsyncConfigStore(etcd_server.address, root=root, timeout=30)
        del never_opened  # nothing to warn about

    asyncio.run(main())


def test_another_loop_is_refused_and_may_close_it(etcd_server: Any, root: str) -> None:
    first = asyncio.new_event_loop()
    store = first.run_until_complete(_opened(etcd_server.address, root))
    updates = first.run_until_complete(_subscribed(store))

    async def refused(match: str) -> None:
        for use in (
            lambda: store.get(LIMIT),
            lambda: store.set(LIMIT, 1),
            lambda: store.wait_synced(),
            lambda: store.health(),
            lambda: store.live(LIMIT),
            lambda: store.on_state(print),
            lambda: store.on_change(LIMIT, print),
            lambda: store.__aenter__(),
            lambda: store,
            lambda: updates.get(0),
            lambda: store.subscribe(LIMIT),
        ):
            with pytest.raises(RuntimeError, match=match):
                await use()

    asyncio.run(
        refused("belongs to another event loop and cannot be used on this one; open one store on each")
    )
    assert first.run_until_complete(store.get(LIMIT)).value == 1
    with pytest.raises(RuntimeError, match="on a running event loop; here there is none"):
        store.subscribe(LIMIT)
    first.close()
    asyncio.run(refused("belongs to another event loop, which is closed, and cannot be used on this one"))
    asyncio.run(store.close())
    assert store.state is State.CLOSED


async def _opened(address: str, root: str) -> AsyncConfigStore:
    return await AsyncConfigStore(address, root=root, timeout=30)


async def _subscribed(store: AsyncConfigStore) -> Any:
    return await store.subscribe(LIMIT)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_process_that_never_closes_ends_all_the_same(etcd_server: Any, root: str) -> None:
    out = run(f"""
import asyncio, os, sys
from runtime_config import Key, Section
from runtime_config.aio import AsyncConfigStore
key = Key("end.limit", int, default=1)
async def main():
    global store
    store = await AsyncConfigStore({etcd_server.address!r}, root={root!r}, timeout=30)
    await store.on_change(Section("end"), lambda item: None)
    await store.live(key)
    print((await store.get(key)).value)
asyncio.run(main())
""")
    assert (out.returncode, out.stdout.strip(), out.stderr) == (0, "1", "")


def test_ctrl_c_ends_a_wait_and_closes(etcd_server: Any, root: str) -> None:
    out = run(f"""
import asyncio, os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, and that be inherited
from runtime_config import Key
from runtime_config.aio import AsyncConfigStore
key = Key("end.limit", int, default=1)
async def main():
    async with AsyncConfigStore({etcd_server.address!r}, root={root!r}, timeout=30) as store:
        async for item in store.subscribe(key):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    for thread in threading.enumerate():
        if "runtime-config" in thread.name:
            thread.join(30)
    print("interrupted", [one.name for one in threading.enumerate() if "runtime-config" in one.name])
""")
    assert (out.stdout.strip(), out.stderr) == ("interrupted []", "")


TRIES = """
    "get": lambda: store.get(key),
    "get_all": lambda: store.get_all(Section("end")),
    "set": lambda: store.set(key, 1),
    "compare_and_set": lambda: store.compare_and_set(key, ABSENT, 1),
    "delete": lambda: store.delete(key),
    "update": lambda: store.update(key, lambda old: old),
    "transaction": lambda: store.transaction(),
    "an open transaction": lambda: opened.__aexit__(None, None, None),
    "settle": lambda: store.settle(OutcomeUnknown("?", write_id="0" * 32)),
    "subscribe": lambda: store.subscribe(key),
    "on_change": lambda: store.on_change(key, print),
    "live": lambda: store.live(key),
    "on_state": lambda: store.on_state(print),
    "wait_synced": lambda: store.wait_synced(),
    "wait_revision": lambda: store.wait_revision(1),
    "health": lambda: store.health(),
    "async with": lambda: store.__aenter__(),
    "await": lambda: store,
    "iterating": lambda: updates.__anext__(),
    "an item that had come": lambda: updates.get(0),
    "live.value": lambda: live.value,
    "live.on_change": lambda: live.on_change(print),
"""


def test_everything_that_crossed_a_fork_says_so(etcd_server: Any, root: str, tmp_path: Path) -> None:
    script = tmp_path / "forking.py"
    script.write_text(f"""
import asyncio, os, warnings
from runtime_config import *
from runtime_config.aio import AsyncConfigStore
key = Key("end.limit", int, default=1)
async def use(tries):
    for name, call in tries.items():
        try:
            made = call()
            if hasattr(made, "__await__"):
                await made
        except Closed as error:
            if "before a fork" in str(error):
                continue
        except BaseException as error:
            os.write(2, f"{{name}}: {{error!r}}\\n".encode())
        os.write(1, f"{{name}} did not say so\\n".encode())
    await store.close()
async def main():
    global store
    async with AsyncConfigStore({etcd_server.address!r}, root={root!r}, timeout=30) as store:
        updates, live = await store.subscribe(key), await store.live(key)
        handle = await store.on_change(key, lambda item: None)
        await store.set(key, 7)
        opened = await store.transaction().__aenter__()
        opened.set(key, 8)
        await store.wait_synced()
        child = os.fork()
        if child == 0:
            import faulthandler
            faulthandler.dump_traceback_later(60, exit=True)
            asyncio.events._set_running_loop(None)
            asyncio.new_event_loop().run_until_complete(use({{{TRIES}}}))
            if store.state is not CLOSED or "closed" not in repr(store):
                os.write(1, b"state\\n")
            updates.close()
            handle.cancel()
            os.write(1, b"child done\\n")
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        await store.set(key, 9)
        print([(await updates.get(30)).revision > 0 for _ in range(3)], (await store.get(key)).value)
asyncio.run(main())
""")
    command = [sys.executable, "-W", "ignore", str(script)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert out.stdout.splitlines() == ["child done", "0", "[True, True, True] 9"], out.stdout + out.stderr


def test_a_store_is_closed_in_time_also_where_it_is_used_from_many_tasks(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        calls = [asyncio.ensure_future(store.set(LIMIT, number)) for number in range(200)]
        await asyncio.sleep(0.01)
        await store.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert any(isinstance(one, Closed) for one in results)
        assert all(isinstance(one, ConfigError) or hasattr(one, "revision") for one in results)

    on_store(main)
