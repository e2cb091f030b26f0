"""Every method of `AsyncConfigStore` on a real etcd, with nothing broken: the same as the blocking one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import (
    ABSENT,
    Changes,
    Closed,
    ConfigStore,
    Conflict,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    Item,
    Key,
    KeyNotSet,
    Section,
    Snapshot,
    State,
    Undecodable,
    Updated,
    ValueTooLarge,
)
from runtime_config.aio import AsyncConfigStore, AsyncSubscription, AsyncTransaction

pytestmark = pytest.mark.slow

LIMIT = Key("billing.limit", int, default=100)
NAME = Key("billing.name", str)
OnStore = Callable[..., None]


def test_reading_and_writing(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        assert (await store.get(LIMIT)).value == 100
        with pytest.raises(KeyNotSet):
            await store.get(NAME)
        first = await store.set(LIMIT, 200)
        assert await store.get(LIMIT) == first
        second = await store.compare_and_set(LIMIT, first, 300)
        with pytest.raises(Conflict) as conflict:
            await store.compare_and_set(LIMIT, first, 400)
        assert conflict.value.current == second
        await store.compare_and_set(NAME, ABSENT, "n")
        assert (await store.get_all(Section("billing"))).values == {LIMIT: 300, NAME: "n"}
        assert await store.delete(NAME)
        assert not await store.delete(NAME)
        assert (await store.get(LIMIT, stale_ok=True)).value == 300
        assert (await store.health()).healthy

    on_store(main)


def test_the_errors_are_the_same(on_store: OnStore, store: ConfigStore) -> None:
    store.set(Key("billing.limit", str), "many")
    Key("billing.limit", int, default=100)

    async def main(aio: AsyncConfigStore) -> None:
        for error, call in (
            (DecodeError, lambda: aio.get(LIMIT)),
            (DecodeError, lambda: aio.get_all(LIMIT)),
            (EncodeError, lambda: aio.set(LIMIT, "five")),
            (ValueTooLarge, lambda: aio.set(NAME, "x" * 3_000_000)),
            (TypeError, lambda: aio.get("billing.limit")),
            (TypeError, lambda: aio.update("billing.limit", None)),
            (TypeError, lambda: aio.settle(ValueError())),
            (TypeError, lambda: aio.on_change(LIMIT)),
            (TypeError, lambda: aio.on_state(5)),
            (ValueError, lambda: aio.get(LIMIT, timeout=-1)),
            (ValueError, lambda: aio.wait_revision(-1)),
            (ValueError, aio.get_all),
        ):
            with pytest.raises(error):
                await call()
        with pytest.raises(ValueError, match="name at least one"):
            aio.subscribe()
        with pytest.raises(TypeError, match="a Key or a Section"):
            aio.subscribe("billing")

    on_store(main)


def test_nobodys_update_is_overwritten(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        async def slowly(count: int) -> int:
            await asyncio.sleep(0)
            return count + 1

        await asyncio.gather(
            *(store.update(LIMIT, lambda count: count + 1, timeout=60) for _ in range(10)),
            *(store.update(LIMIT, slowly, timeout=60) for _ in range(10)),
        )
        assert (await store.get(LIMIT)).value == 120
        with pytest.raises(KeyNotSet):
            await store.update(NAME, str.upper)
        with pytest.raises(ZeroDivisionError):
            await store.update(LIMIT, lambda _: 1 // 0)

    on_store(main)


def test_the_function_of_an_update_runs_on_the_loop(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        threads: list[int] = []
        await store.update(LIMIT, lambda count: threads.append(threading.get_ident()) or count)
        assert threads == [threading.get_ident()]

    on_store(main)


def test_a_transaction_is_committed_when_its_block_ends(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        async with store.subscribe(Section("billing")) as updates:
            await updates.get(30)
            async with store.transaction() as txn:
                txn.require(NAME, ABSENT)
                txn.set(LIMIT, 5)
                txn.set(NAME, "n")
            item = await updates.get(30)
            assert isinstance(item, Changes)
            assert (item.revision, len(item.changes)) == (txn.revision, 2)

            async def commit(fill: Callable[[AsyncTransaction], Any]) -> None:
                async with store.transaction() as txn:
                    fill(txn)

            for error, fill in (
                (Conflict, lambda txn: txn.require(NAME, ABSENT)),
                (ZeroDivisionError, lambda txn: txn.set(LIMIT, 7) or 1 // 0),
                (ValueError, lambda txn: [txn.set(LIMIT, value) for value in (7, 8)]),
                (ValueError, lambda txn: [txn.set(Key(f"billing.k{n}", int), 1) for n in range(129)]),
            ):
                with pytest.raises(error):
                    await commit(fill)
            assert (await store.get(LIMIT)).value == 5

    on_store(main)


def test_what_is_written_after_subscribe_is_a_change_also_without_awaiting_it(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        for number in range(30):
            updates = store.subscribe(LIMIT)
            written = await store.set(LIMIT, number)
            first, second = await updates.get(30), await updates.get(30)
            assert isinstance(first, Snapshot)
            assert isinstance(second, Changes)
            assert first.revision < second.revision == written.revision

    on_store(main)


def test_the_snapshot_has_everything_written_before(on_store: OnStore, store: ConfigStore) -> None:
    async def main(aio: AsyncConfigStore) -> None:
        for number in range(30):
            store.set(LIMIT, number)
            async for item in aio.subscribe(LIMIT):
                assert isinstance(item, Snapshot)
                assert item.values[LIMIT] == number
                break

    on_store(main)


def test_subscriptions_need_no_threads_and_no_tasks(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        async def take(updates: AsyncSubscription) -> Item:
            await updates.get(30)
            return await updates.get(30)

        store._runner._workers._idle_seconds = 0.01
        await store.set(LIMIT, 0)
        await store.wait_synced(30)
        threads, tasks = set(threading.enumerate()), len(asyncio.all_tasks())
        made = [store.subscribe(Section("billing")) for _ in range(100)]
        await asyncio.gather(*made)
        while store._runner._workers._threads:  # those that made the starts end
            await asyncio.sleep(0.01)
        assert not set(threading.enumerate()) - threads
        assert len(asyncio.all_tasks()) == tasks
        takers = [asyncio.create_task(take(updates)) for updates in made]
        await asyncio.sleep(0)
        await store.set(LIMIT, 1)
        items = await asyncio.gather(*takers)
        assert {item.revision for item in items} == {items[0].revision}

    on_store(main)


def test_live_values_and_callbacks(on_store: OnStore, store: ConfigStore) -> None:
    async def main(aio: AsyncConfigStore) -> None:
        await aio.wait_synced(30)
        live = await aio.live(LIMIT)
        assert await aio.live(LIMIT) is live
        assert (live.value, live.revision) == (100, 0)
        items: asyncio.Queue[Item] = asyncio.Queue()
        handle = await live.on_change(items.put)
        states: list[State] = []
        await aio.on_state(states.append)
        assert isinstance(await items.get(), Snapshot)
        written = await aio.set(LIMIT, 5)
        await aio.wait_revision(written.revision, 30)
        assert (live.value, live.revision) == (5, written.revision)
        assert live.age < 60
        assert await items.get() == Changes(written.revision, (Updated(LIMIT, 5, ABSENT),))
        store.set(Key("billing.limit", str), "many")
        Key("billing.limit", int, default=100)
        assert isinstance(await items.get(), Undecodable)
        assert live.value == 5
        handle.cancel()
        await aio.set(LIMIT, 6)
        await aio.close()
        assert items.empty()
        assert states == [State.CLOSED]
        assert aio.state is State.CLOSED

    on_store(main)


def test_waiting(on_store: OnStore, store: ConfigStore) -> None:
    async def main(aio: AsyncConfigStore) -> None:
        await aio.wait_synced(30)
        assert aio.state is State.SYNCED
        assert (aio.stale_since, aio.last_error) == (None, None)
        assert aio.counters.last_contact
        with pytest.raises(DeadlineExceeded, match=r"was not delivered within 0\.30 s"):
            await aio.wait_revision(10**12, 0.3)
        written = [asyncio.create_task(aio.set(Key(f"billing.k{number}", int), 1)) for number in range(20)]
        for task in asyncio.as_completed(written):
            await aio.wait_revision((await task).revision, 30)
        assert aio.revision >= max(task.result().revision for task in written)
        # A write elsewhere on the same etcd, whose revision never comes through this root.
        with ConfigStore(store._channels.endpoints[0], root=f"{store._layout.root}-beside") as beside:
            await aio.wait_revision(beside.set(LIMIT, 1).revision, 30)

    on_store(main)


def test_many_calls_at_once_share_a_few_threads(on_store: OnStore) -> None:
    async def main(store: AsyncConfigStore) -> None:
        values = await asyncio.gather(*(store.get(LIMIT, timeout=60) for _ in range(500)))
        assert {one.value for one in values} == {100}
        assert len(store._runner._workers._threads) <= 32

    on_store(main)


def test_it_opens_with_its_first_call_or_when_it_is_awaited(etcd_server: Any, root: str) -> None:
    async def main() -> None:
        lazy = AsyncConfigStore(etcd_server.address, root=root, timeout=30)
        assert lazy.state is State.CONNECTING
        assert not lazy._store._opened.is_set()
        await lazy.set(LIMIT, 1)
        await lazy.wait_synced(30)
        eager = await AsyncConfigStore(etcd_server.address, root=root, timeout=30)
        assert eager._store._opened.is_set()
        first = AsyncConfigStore(etcd_server.address, root=root, timeout=30)
        assert [(await first.subscribe(LIMIT).get(30)).revision > 0]
        for store in (lazy, eager, first):
            await store.close()
            await store.close()
            with pytest.raises(Closed):
                await store.get(LIMIT)
            with pytest.raises(Closed):
                store.subscribe(LIMIT)
        never = AsyncConfigStore(etcd_server.address, root=root, timeout=30)
        await never.close()

    asyncio.run(main())
