"""aiokafka: an idempotent producer, and a consumer that is assigned the partition and begins at its end."""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from docs.gallery.servers.kafka import TOPIC, enter
from pytest_netfault import Delivery, Event

PARTITION = TopicPartition(TOPIC, 0)


class Store:
    def __init__(self, stack, servers):
        self.stack, self.following = stack, None
        options = {"bootstrap_servers": servers, "request_timeout_ms": 3_000, "retry_backoff_ms": 100}
        self.producer = AIOKafkaProducer(enable_idempotence=True, **options)
        self.consumer = AIOKafkaConsumer(auto_offset_reset="none", **options)

    async def put(self, key, value):
        sent = self.producer.send_and_wait(TOPIC, value and value.encode(), key.encode(), partition=0)
        await asyncio.wait_for(sent, 4)

    async def delete(self, key):
        await self.put(key, None)

    async def subscribe(self, prefix, deliver):
        await self.consumer.start()
        self.consumer.assign([PARTITION])
        end = (await self.consumer.end_offsets([PARTITION]))[PARTITION]
        self.consumer.seek(PARTITION, end)
        self.following = asyncio.create_task(self.follow(prefix, deliver))

    async def follow(self, prefix, deliver):
        async for one in self.consumer:
            key, value = one.key.decode(), None if one.value is None else one.value.decode()
            if key.startswith(prefix):
                deliver(Delivery(events=(Event(key, value, one.offset + 1),)))

    async def close(self):
        if self.following is not None:
            self.following.cancel()
        await asyncio.gather(self.producer.stop(), self.consumer.stop(), return_exceptions=True)
        self.stack.close()


async def open_store(address):
    with contextlib.ExitStack() as stack:
        store = Store(stack, stack.enter_context(enter(address)))
        await store.producer.start()
        store.stack = stack.pop_all()
        return store
