"""asyncpg: a listener on a connection of its own, which is made again when it terminates."""

import asyncio
import json

import asyncpg

from pytest_netfault import Delivery, Event

PUT = "INSERT INTO settings VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.where = {"host": host, "port": int(port), "user": "postgres", "timeout": 2}
        self.listening, self.following = asyncio.Event(), None

    async def write(self, statement, key, value):
        connection = await asyncpg.connect(**self.where, command_timeout=3)
        try:
            async with connection.transaction():
                await connection.execute(statement, *([key] if value is None else [key, value]))
                await connection.execute("SELECT pg_notify('changed', $1)", json.dumps([key, value]))
        finally:
            connection.terminate()

    async def put(self, key, value):
        await self.write(PUT, key, value)

    async def delete(self, key):
        await self.write("DELETE FROM settings WHERE key = $1", key, None)

    async def subscribe(self, prefix, deliver):
        self.following = asyncio.create_task(self.follow(prefix, deliver))
        await asyncio.wait_for(self.listening.wait(), 5)

    async def follow(self, prefix, deliver):
        def received(_connection, _pid, _channel, payload):
            key, value = json.loads(payload)
            if key.startswith(prefix):
                deliver(Delivery(events=(Event(key, value),)))

        while True:
            terminated = asyncio.Event()
            try:
                connection = await asyncpg.connect(**self.where)
                connection.add_termination_listener(lambda _, event=terminated: event.set())
                await connection.add_listener("changed", received)
                self.listening.set()
                await terminated.wait()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await asyncio.sleep(0.1)

    async def close(self):
        if self.following is not None:
            self.following.cancel()


open_store = Store
