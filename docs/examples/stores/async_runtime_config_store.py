"""The bundled wrapper for asyncio behind the methods of the proof kit: coroutines, which the kit awaits on its loop."""

import asyncio
from collections.abc import Callable, Mapping

from runtime_config import Changes, Closed, Item, Key, Section, Unavailable, Undecodable, Updated
from runtime_config.aio import AsyncConfigStore
from runtime_config.stored import stored_name

from pytest_netfault import Delivery, Event, Resync


class AsyncStore:
    def __init__(self, store: AsyncConfigStore) -> None:
        self.store = store

    async def put(self, key: str, value: str) -> None:
        await self.store.set(Key(key, str), value, timeout=1)

    async def delete(self, key: str) -> None:
        await self.store.delete(Key(key, str), timeout=1)

    async def put_many(self, changes: Mapping[str, str | None]) -> None:
        async with self.store.transaction(timeout=1) as txn:
            for key, value in changes.items():
                txn.delete(Key(key, str)) if value is None else txn.set(Key(key, str), value)

    async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        updates = await self.store.subscribe(Section(prefix.rstrip(".")))

        async def follow() -> None:
            async for item in updates:
                deliver(delivery(item))

        self.following = asyncio.create_task(follow())

    async def close(self) -> None:
        await self.store.close()  # which ends the iteration, and with it the task

    def decode(self, key: bytes, value: bytes | None) -> tuple[str, str | None] | None:
        name = stored_name(key, "/netfault")
        return None if name is None else (name, None if value is None else value.decode())


async def open_store(address: str) -> AsyncStore:
    return AsyncStore(await AsyncConfigStore(address, root="/netfault", patience=0, dead_after=1.5))


def delivery(item: Item) -> Delivery:
    """Values are texts: both services of a proof declare their keys in this process. Others would arrive as bytes."""
    if isinstance(item, Undecodable):
        return Delivery(error=str(item.error))
    if isinstance(item, Changes):
        new = [(one.key.name, one.new if isinstance(one, Updated) else None) for one in item.changes]
        return Delivery(events=tuple(Event(name, value, item.revision) for name, value in new))
    return Delivery(resync=Resync(item.revision, item.values))


open_store.rejected = (Unavailable, Closed)  # type: ignore[attr-defined] # all else may mean that it was applied
