"""redis-py, asyncio: adds each change to a stream, and reads on from the last id that it has seen."""

import asyncio

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pytest_netfault import Delivery, Event

STREAM = "changes"


class Store:
    def __init__(self, address):
        # Without retries: XADD that is sent again may add twice.
        options = {"decode_responses": True, "socket_timeout": 2, "retry": Retry(NoBackoff(), 0)}
        self.redis = redis.from_url(f"redis://{address}", **options)
        self.following = None

    async def put(self, key, value):
        await self.redis.xadd(STREAM, {"key": key, "value": value})

    async def delete(self, key):
        await self.redis.xadd(STREAM, {"key": key})

    async def subscribe(self, prefix, deliver):
        newest = await self.redis.xrevrange(STREAM, count=1)
        last = newest[0][0] if newest else "0-0"
        self.following = asyncio.create_task(self.follow(last, prefix, deliver))

    async def follow(self, last, prefix, deliver):
        while True:
            try:
                answer = await self.redis.xread({STREAM: last}, block=500)
            except (redis.ConnectionError, redis.TimeoutError):
                await asyncio.sleep(0.1)
                continue
            entries = (
                answer.get(STREAM, [[]])[0]
                if isinstance(answer, dict)
                else [e for _, es in answer for e in es]
            )
            for last, fields in entries:
                if fields["key"].startswith(prefix):
                    deliver(Delivery(events=(Event(fields["key"], fields.get("value")),)))

    async def close(self):
        if self.following is not None:
            self.following.cancel()
        await self.redis.aclose()


open_store = Store
