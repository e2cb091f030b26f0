"""redis-py, asyncio: publishes each change, and follows the changes by pub/sub."""

import asyncio
import json

import redis.asyncio as redis

from pytest_netfault import Delivery, Event

CHANNEL = "changed"


class Store:
    def __init__(self, address):
        self.redis = redis.from_url(f"redis://{address}", decode_responses=True, health_check_interval=2)
        self.following = None

    async def put(self, key, value):
        async with self.redis.pipeline(transaction=True) as both:
            both.delete(key) if value is None else both.set(key, value)
            both.publish(CHANNEL, json.dumps([key, value]))
            await both.execute()

    async def delete(self, key):
        await self.put(key, None)

    async def subscribe(self, prefix, deliver):
        pubsub = self.redis.pubsub()
        await pubsub.subscribe(CHANNEL)
        await pubsub.get_message(timeout=5)  # that it is subscribed
        self.following = asyncio.create_task(self.follow(pubsub, prefix, deliver))

    async def follow(self, pubsub, prefix, deliver):
        while True:
            try:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            except (redis.ConnectionError, redis.TimeoutError):
                await asyncio.sleep(0.1)
                continue
            if message is not None:
                key, value = json.loads(message["data"])
                if key.startswith(prefix):
                    deliver(Delivery(events=(Event(key, value),)))

    async def close(self):
        if self.following is not None:
            self.following.cancel()
        await self.redis.aclose()


open_store = Store
