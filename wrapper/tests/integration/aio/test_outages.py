"""What an asynchronous store does while a link is broken: some of the blocking one's tests; the feed is the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
from runtime_config import (
    ABSENT,
    STALE,
    SYNCED,
    Changes,
    ConfigError,
    ConfigStore,
    Item,
    Key,
    OutcomeUnknown,
    Resynced,
    Section,
    Snapshot,
    State,
    Unavailable,
    Updated,
)
from runtime_config.aio import AsyncConfigStore

pytestmark = pytest.mark.slow

LIMIT = Key("out.limit", int)
OnStore = Callable[..., None]
BREAKS: dict[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "severed": lambda link: link.sever(),
    "reset, and refused": lambda link: (link.reset(), link.refuse())[1],
    "black hole": lambda link: link.blackhole(on_heal="reset"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_what_is_written_during_an_outage_arrives(
    on_store: OnStore, netfault: Any, etcd_server: Any, store: ConfigStore, how: str
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main(aio: AsyncConfigStore) -> None:
        changed: asyncio.Queue[State] = asyncio.Queue()
        await aio.wait_synced(30)
        await aio.on_state(changed.put)
        async with aio.subscribe(LIMIT) as updates:
            assert isinstance(await updates.get(30), Snapshot)
            with BREAKS[how](link):
                assert await changed.get() is STALE
                assert aio.stale_since is not None
                written = [await asyncio.to_thread(store.set, LIMIT, number) for number in range(5)]
            items = [await updates.get(30) for _ in written]
            assert [item.revision for item in items] == [one.revision for one in written]
            assert isinstance(items[0], Changes)
            assert items[0].changes == (Updated(LIMIT, 0, ABSENT),)
            assert await changed.get() is SYNCED

    on_store(main, link.address, dead_after=1.0)


def test_a_forgotten_flow_is_noticed(
    on_store: OnStore, netfault: Any, etcd_server: Any, store: ConfigStore
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main(aio: AsyncConfigStore) -> None:
        async with aio.subscribe(LIMIT) as updates:
            await updates.get(30)
            link.forget()
            written = await asyncio.to_thread(store.set, LIMIT, 5)
            assert (await updates.get(30)).revision == written.revision

    on_store(main, link.address, dead_after=1.0)


def test_a_loop_that_is_blocked_gets_what_was_kept_and_then_a_resync(
    on_store: OnStore, store: ConfigStore
) -> None:
    async def main(aio: AsyncConfigStore) -> None:
        async with aio.subscribe(Section("out")) as updates:
            await updates.get(30)
            big = Key("out.big", str)
            for number in range(20):  # on the loop: nothing is taken meanwhile
                last = store.set(big, f"{number:07}" * 150_000, timeout=60)
            await aio.wait_revision(last.revision, 60)
            items: list[Item] = []
            while not items or items[-1].revision < last.revision:
                items.append(await updates.get(30))
            assert all(isinstance(item, Changes) for item in items[:-1])
            assert isinstance(items[-1], Resynced)
            assert (items[-1].reason, items[-1].revision) == ("overflow", last.revision)
            assert items[-1].values[big] == f"{19:07}" * 150_000
            assert aio.counters.overflows == 1

    on_store(main, timeout=60)


def test_a_write_whose_reply_is_lost_can_be_settled(
    on_store: OnStore, netfault: Any, etcd_server: Any, store: ConfigStore
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main(aio: AsyncConfigStore) -> None:
        await aio.set(LIMIT, 1)
        with link.blackhole("down", on_heal="reset"), pytest.raises(OutcomeUnknown) as unknown:
            await aio.set(LIMIT, 2, timeout=0.3)
        revision = await aio.settle(unknown.value, timeout=30)
        assert revision == store.get(LIMIT).revision

    on_store(main, link.address)


def test_calls_in_a_black_hole_end_also_where_many_wait_for_a_turn(
    on_store: OnStore, netfault: Any, etcd_server: Any
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main(aio: AsyncConfigStore) -> None:
        await aio.set(LIMIT, 1)
        with link.blackhole():
            calls = [aio.get(LIMIT, timeout=0.3) for _ in range(40)]  # more than there are threads
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert not await aio.health(0.1)
        assert all(isinstance(one, ConfigError) for one in results)
        assert (await aio.get(LIMIT)).value == 1

    on_store(main, link.address)


def test_cancelled_in_a_black_hole_it_returns_at_once_and_the_store_lives_on(
    on_store: OnStore, netfault: Any, etcd_server: Any
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main(aio: AsyncConfigStore) -> None:
        await aio.set(LIMIT, 1)
        with link.blackhole() as hole:
            began = time.monotonic()
            for call in (aio.get(LIMIT, timeout=60), aio.set(LIMIT, 2, timeout=60), aio.health(60)):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(call, 0.05)
            assert time.monotonic() - began < 20
            assert hole.met_traffic
        assert (await aio.get(LIMIT, timeout=30)).value in (1, 2)

    on_store(main, link.address, dead_after=1.0)


def test_with_nothing_listening_everything_is_unavailable_in_time(netfault: Any, etcd_server: Any) -> None:
    link = netfault.forward(etcd_server.address)

    async def main() -> None:
        with pytest.raises(Unavailable):
            async with AsyncConfigStore(link.address, timeout=0.2):
                pass
        with pytest.raises(Unavailable):
            await AsyncConfigStore(link.address, timeout=0.2)
        store = AsyncConfigStore(link.address, timeout=0.2)
        for call in (
            store.get(LIMIT),
            store.set(LIMIT, 1),
            store.subscribe(LIMIT)._start(),
            store.wait_synced(),
            store.on_change(LIMIT, print),
        ):
            with pytest.raises(Unavailable):
                await call
        assert not await store.health()
        updates = store.subscribe(LIMIT)
        with pytest.raises(Unavailable):
            await updates.get(30)
        outage.heal()
        item = None
        while item is None:  # each later use tries again, for as short a time
            with suppress(Unavailable):
                item = await updates.get(30)
        assert isinstance(item, Snapshot)
        await store.close()

    with link.refuse() as outage:
        asyncio.run(main())


def test_without_waiting_for_the_server_a_subscription_begins_when_it_comes(
    netfault: Any, etcd_server: Any, root: str, store: ConfigStore
) -> None:
    link = netfault.forward(etcd_server.address)

    async def main() -> None:
        async with AsyncConfigStore(link.address, root=root, timeout=0.2, wait=False) as aio:
            async with aio.subscribe(LIMIT) as updates:
                live = await aio.live(LIMIT)
                with pytest.raises(Unavailable):
                    live.value  # noqa: B018
                store.set(LIMIT, 5)
                outage.heal()
                item = await updates.get(30)
                assert isinstance(item, Snapshot)
                assert item.values[LIMIT] == 5
                while not live.revision:  # it is started after the subscription
                    await asyncio.sleep(0.001)
                assert live.value == 5

    with link.refuse() as outage:
        asyncio.run(main())
