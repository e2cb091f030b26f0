"""Every method, cancelled at every place where it waits: the store goes on as before, and no change is missed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from runtime_config import (
    Changes,
    ConfigStore,
    DeadlineExceeded,
    Item,
    Key,
    OutcomeUnknown,
    Section,
    Snapshot,
    State,
)
from runtime_config.aio import AsyncConfigStore, AsyncSubscription

pytestmark = pytest.mark.slow

LIMIT = Key("billing.limit", int, default=100)
OnStore = Callable[..., None]


async def transaction(store: AsyncConfigStore) -> None:
    async with store.transaction() as txn:
        txn.set(LIMIT, 1)


async def entered(store: AsyncConfigStore) -> None:
    async with store.subscribe(LIMIT) as updates:
        await updates.get()


async def iterated(store: AsyncConfigStore) -> None:
    async for _ in store.subscribe(LIMIT):
        return


CALLS: dict[str, Callable[[AsyncConfigStore], Awaitable[Any]]] = {
    "get": lambda store: store.get(LIMIT),
    "get_all": lambda store: store.get_all(Section("billing")),
    "set": lambda store: store.set(LIMIT, 1),
    "delete": lambda store: store.delete(LIMIT),
    "update": lambda store: store.update(LIMIT, lambda value: value + 1),
    "transaction": transaction,
    "settle": lambda store: store.settle(OutcomeUnknown("?", write_id="0" * 32)),
    "subscribe": lambda store: store.subscribe(LIMIT)._start(),
    "async with subscribe": entered,
    "async for": iterated,
    "on_change": lambda store: store.on_change(LIMIT, lambda _: None),
    "on_state": lambda store: store.on_state(lambda _: None),
    "live": lambda store: store.live(Key("billing.other", int, default=1)),
    "wait_synced": lambda store: store.wait_synced(),
    "wait_revision": lambda store: store.wait_revision(store.revision + 1, 0.3),
    "health": lambda store: store.health(),
}


async def cancelled_at(awaited: Awaitable[Any], at: int) -> bool:
    """Cancel it when it waits for the `at`-th time; False if it came to its end before."""

    async def counted() -> Any:
        return await _Counted(awaited, at)

    task = asyncio.create_task(counted())
    try:
        await task
    except asyncio.CancelledError:
        return True
    except DeadlineExceeded:
        pass
    return False


class _Counted:
    def __init__(self, awaited: Awaitable[Any], at: int) -> None:
        self.awaited, self.at = awaited, at

    def __await__(self) -> Any:
        inner, error = self.awaited.__await__(), None
        while True:
            try:
                waits_for = inner.send(None) if error is None else inner.throw(error)
            except StopIteration as stop:
                return stop.value
            self.at -= 1
            task = asyncio.current_task()
            if self.at == 0 and task is not None:
                task.cancel()
            try:
                yield waits_for
                error = None
            except BaseException as thrown:
                error = thrown


@pytest.mark.parametrize("name", CALLS)
def test_cancelled_at_every_await_the_store_goes_on(on_store: OnStore, name: str) -> None:
    async def main(store: AsyncConfigStore) -> None:
        await store.wait_synced()
        watching = await store.subscribe(Section("watched"))
        assert isinstance(await watching.get(30), Snapshot)
        at = 1
        while await cancelled_at(CALLS[name](store), at):
            written = await store.set(Key("watched.at", int), at)
            item = await watching.get(30)
            assert isinstance(item, Changes)
            assert item.revision == written.revision
            at += 1
        assert at > 1 or name in ("on_state", "wait_synced")  # which have nothing to wait for here

    on_store(main)


@pytest.mark.parametrize("at", range(1, 6))
def test_cancelled_while_it_opens_or_closes_nothing_is_left(etcd_server: Any, root: str, at: int) -> None:
    async def main() -> None:
        async def whole() -> None:
            async with AsyncConfigStore(etcd_server.address, root=root, timeout=30) as store:
                await store.get(LIMIT)

        await cancelled_at(whole(), at)
        while any("runtime-config" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.001)

    asyncio.run(main())


def test_a_consumer_that_is_cancelled_all_the_time_gets_every_change(
    on_store: OnStore, store: ConfigStore
) -> None:
    async def main(aio: AsyncConfigStore) -> None:
        updates = await aio.subscribe(LIMIT)
        stop = threading.Event()
        last = 0

        def write() -> None:
            nonlocal last
            for number in range(300):
                last = store.set(LIMIT, number).revision
            stop.set()

        writer = threading.Thread(target=write)
        writer.start()
        values: list[int] = []
        cancelled = 0
        while not stop.is_set() or updates.revision < last:
            task = asyncio.ensure_future(_next(updates))
            for _ in range(cancelled % 4):
                await asyncio.sleep(0)
            if not task.done():
                task.cancel()
            with suppress(asyncio.CancelledError):
                item = await task
                if isinstance(item, Changes):
                    values += [change.new for change in item.changes]
                continue
            cancelled += 1
            await asyncio.sleep(0.0001)
        writer.join()
        assert values == list(range(300))
        assert cancelled > 50

    on_store(main)


async def _next(updates: AsyncSubscription) -> Item:
    return await updates.get()


def test_a_cancelled_write_that_has_not_begun_is_never_sent(
    on_store: OnStore, netfault: Any, etcd_server: Any
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main(store: AsyncConfigStore) -> None:
        before = await store.set(LIMIT, 1)
        with link.sever():
            writes = [asyncio.create_task(store.set(LIMIT, number, timeout=30)) for number in range(2, 80)]
            await asyncio.sleep(0.05)  # some wait for a server, and some for a turn
            for task in writes:
                task.cancel()
            await asyncio.wait(writes)
        await store.wait_synced(30)
        assert store.state is State.SYNCED
        assert await store.get(LIMIT, timeout=30) == before
        assert (await store.set(LIMIT, 5)).version == 2

    on_store(main, link.address)
