"""etcetra: a watch of a prefix on a connection of its own, which is made again when it ends."""

import asyncio

from etcetra import EtcdClient, HostPortPair
from etcetra.types import WatchEventType

from pytest_netfault import Delivery, Event


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.etcd = EtcdClient(HostPortPair(host, int(port)))
        self.following, self.watching = None, asyncio.Event()

    async def put(self, key, value):
        async with asyncio.timeout(3), self.etcd.connect() as communicator:
            await communicator.put(key, value)

    async def delete(self, key):
        async with asyncio.timeout(3), self.etcd.connect() as communicator:
            await communicator.delete(key)

    async def subscribe(self, prefix, deliver):
        self.following = asyncio.create_task(self.follow(prefix, deliver))
        await asyncio.wait_for(self.watching.wait(), 5)

    async def follow(self, prefix, deliver):
        while True:
            try:
                async with self.etcd.connect() as communicator:
                    async for event in communicator.watch_prefix(prefix, ready_event=self.watching):
                        value = event.value if event.event is WatchEventType.PUT else None
                        deliver(Delivery(events=(Event(event.key, value),)))
            except Exception:
                await asyncio.sleep(0.1)

    async def close(self):
        if self.following is not None:
            self.following.cancel()


open_store = Store
