"""nats-py: a key-value bucket, followed by a watch."""

import asyncio

import nats

from pytest_netfault import Delivery, Event

OPTIONS = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, "ping_interval": 5, "connect_timeout": 2}


class Store:
    def __init__(self, connection, bucket):
        self.nats, self.bucket, self.following = connection, bucket, None

    async def put(self, key, value):
        await self.bucket.put(key, value.encode())

    async def delete(self, key):
        await self.bucket.delete(key)

    async def subscribe(self, prefix, deliver):
        watcher = await self.bucket.watch(f"{prefix}>")
        self.following = asyncio.create_task(self.follow(watcher, deliver))

    async def follow(self, watcher, deliver):
        async for entry in watcher:
            if entry is not None:  # None: that was the state at the start
                value = None if entry.operation in ("DEL", "PURGE") else entry.value.decode()
                deliver(Delivery(events=(Event(entry.key, value, entry.revision),)))

    async def close(self):
        if self.following is not None:
            self.following.cancel()
        await self.nats.close()


async def quiet(_error):
    pass


async def open_store(address):
    connection = await nats.connect(f"nats://{address}", error_cb=quiet, **OPTIONS)
    return Store(connection, await connection.jetstream(timeout=3).key_value("settings"))
