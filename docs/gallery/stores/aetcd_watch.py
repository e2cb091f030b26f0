"""aetcd: a watch of a prefix, which begins again behind the last revision that it has seen."""

import asyncio

import aetcd

from pytest_netfault import Delivery, Event, Resync


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.client = aetcd.Client(host, int(port), timeout=3)
        self.following = None

    async def put(self, key, value):
        await self.client.put(key.encode(), value.encode())

    async def delete(self, key):
        await self.client.delete(key.encode())

    async def subscribe(self, prefix, deliver):
        newest = (await self.client.get_prefix(prefix.encode())).header.revision
        self.following = asyncio.create_task(self.follow(newest + 1, prefix.encode(), deliver))

    async def follow(self, start, prefix, deliver):
        while True:
            try:
                watch = await self.client.watch_prefix(prefix, start_revision=start)
                async for event in watch:
                    kv = event.kv
                    value = None if event.kind == aetcd.EventKind.DELETE else kv.value.decode()
                    deliver(Delivery(events=(Event(kv.key.decode(), value, kv.mod_revision),)))
                    start = kv.mod_revision + 1
            except aetcd.RevisionCompactedError:
                state = await self.client.get_prefix(prefix)
                start = state.header.revision + 1
                kvs = {kv.key.decode(): kv.value.decode() for kv in state}
                deliver(Delivery(resync=Resync(start - 1, kvs)))
            except aetcd.ClientError:
                await asyncio.sleep(0.1)

    async def close(self):
        if self.following is not None:
            self.following.cancel()
        await self.client.close()


open_store = Store
