"""nats-py: publishes each change on a subject, and subscribes to the subjects of a section."""

import json

import nats

from pytest_netfault import Delivery, Event

OPTIONS = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, "ping_interval": 5, "connect_timeout": 2}


class Store:
    def __init__(self, connection):
        self.nats = connection

    async def put(self, key, value):
        await self.nats.publish(f"changes.{key}", json.dumps(value).encode())
        await self.nats.flush(timeout=3)  # the server has it

    async def delete(self, key):
        await self.put(key, None)

    async def subscribe(self, prefix, deliver):
        async def received(message):
            key = message.subject.removeprefix("changes.")
            deliver(Delivery(events=(Event(key, json.loads(message.data)),)))

        await self.nats.subscribe(f"changes.{prefix}>", cb=received)
        await self.nats.flush(timeout=3)

    async def close(self):
        await self.nats.close()


async def quiet(_error):
    pass


async def open_store(address):
    return Store(await nats.connect(f"nats://{address}", error_cb=quiet, **OPTIONS))
