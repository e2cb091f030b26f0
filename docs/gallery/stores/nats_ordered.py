"""nats-py: publishes each change to a stream, and reads it with an ordered consumer."""

import nats
from nats.js.api import DeliverPolicy

from pytest_netfault import Delivery, Event

OPTIONS = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, "ping_interval": 5, "connect_timeout": 2}


class Store:
    def __init__(self, connection):
        self.nats = connection
        self.stream = connection.jetstream(timeout=3)

    async def put(self, key, value):
        await self.stream.publish(f"changes.{key}", value.encode())

    async def delete(self, key):
        await self.stream.publish(f"changes.{key}", b"", headers={"KV-Operation": "DEL"})

    async def subscribe(self, prefix, deliver):
        async def received(message):
            key = message.subject.removeprefix("changes.")
            value = None if message.headers and "KV-Operation" in message.headers else message.data.decode()
            revision = message.metadata.sequence.stream
            deliver(Delivery(events=(Event(key, value, revision),)))

        await self.stream.subscribe(
            f"changes.{prefix}>", cb=received, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
        )

    async def close(self):
        await self.nats.close()


async def quiet(_error):
    pass


async def open_store(address):
    return Store(await nats.connect(f"nats://{address}", error_cb=quiet, **OPTIONS))
