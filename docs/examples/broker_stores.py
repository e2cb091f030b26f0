"""Clients of a message broker, behind the four methods of the proof kit: Redis pub/sub, and a stream with a group.

* `PubSubStore`: redis-py for asyncio. It subscribes again when its connection fails, and finds out by itself when that
  has died without a word. What is published meanwhile is gone: ``promise="comes-back"``.
* `DyingStore`: the same with a reader that ends with the first error, as a task does that nobody looks after.
* `GroupStore`: a consumer group. What is not acknowledged is delivered again, so that nothing is lost and some of it
  comes twice.
* `RememberingGroupStore`: the same, and it drops what it has had: ``promise="every-event"``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis_stores import LISTEN_MILLISECONDS, RETRY_SECONDS, SOCKET_SECONDS, STREAM, Follower

from pytest_netfault import Delivery, Event


class PubSubStore:
    """Sets a key and publishes the change on a channel of its name; the subscriber listens to a pattern."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._redis: Any = redis.asyncio.Redis(
            host=host,
            port=int(port),
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),  # an error means that nobody knows whether the write counts
        )
        self._reader: asyncio.Task[None] | None = None

    async def put(self, key: str, value: str | None) -> None:
        async with self._redis.pipeline() as both:  # MULTI ... EXEC
            if value is None:
                both.delete(key)
            else:
                both.set(key, value)
            both.publish(key, json.dumps(value))
            await both.execute()

    async def delete(self, key: str) -> None:
        await self.put(key, None)

    async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        started = asyncio.Event()
        self._reader = asyncio.create_task(self._read(prefix, deliver, started))
        await started.wait()

    async def _read(self, prefix: str, deliver: Callable[[Delivery], None], started: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                await self._listen(prefix, deliver, started)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, prefix: str, deliver: Callable[[Delivery], None], started: asyncio.Event) -> None:
        """Hand over what comes, until the connection fails."""
        async with self._redis.pubsub() as listening:
            await listening.psubscribe(f"{prefix}*")
            asked = False
            while True:
                message = await listening.get_message(timeout=SOCKET_SECONDS)
                if message is None and asked:
                    raise ConnectionError("no answer to a ping: this connection is dead")
                if message is None:
                    await listening.ping()  # an idle connection that has died looks like any other
                asked = message is None
                if message is not None and message["type"] == "psubscribe":
                    started.set()
                elif message is not None and message["type"] == "pmessage":
                    event = Event(message["channel"].decode(), json.loads(message["data"]))
                    deliver(Delivery(events=(event,)))

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError, redis.RedisError, OSError):
                await self._reader
        await self._redis.aclose()


class DyingStore(PubSubStore):
    """Its reader is a task without a loop around it."""

    async def _read(self, prefix: str, deliver: Callable[[Delivery], None], started: asyncio.Event) -> None:
        await self._listen(prefix, deliver, started)


class GroupStore(Follower):
    """Reads a stream as the only member of a group, and acknowledges each entry when it has been handed over."""

    _group: str | None = None

    def _follow(self, prefix: str, deliver: Callable[[Delivery], None], started: Any) -> None:
        if self._group is None:
            with contextlib.suppress(redis.ResponseError):  # it is there: only the answer had been lost
                self._redis.xgroup_create(STREAM, prefix, id="$", mkstream=True)
            self._group = prefix
            started.set()
        after = "0"  # first what was delivered and not acknowledged, from the beginning on
        while not self._closed.is_set():
            answer = self._redis.xreadgroup(prefix, "me", {STREAM: after}, block=LISTEN_MILLISECONDS)
            entries = answer[0][1] if answer else []
            if not entries:
                after = ">"  # then what is new
            for entry, fields in entries:
                self.hand_over(entry, fields, prefix, deliver)
                self._redis.xack(STREAM, prefix, entry)

    def hand_over(
        self, entry: bytes, fields: dict[bytes, bytes], prefix: str, deliver: Callable[[Delivery], None]
    ) -> None:
        key, value = fields[b"key"].decode(), fields.get(b"value")
        if key.startswith(prefix):
            event = Event(key, None if value is None else value.decode(), int(entry.partition(b"-")[2]))
            deliver(Delivery(events=(event,)))


class RememberingGroupStore(GroupStore):
    """Hands over what it has not had. Entries come in the order of their ids, so that the last one is enough."""

    _last = 0

    def hand_over(
        self, entry: bytes, fields: dict[bytes, bytes], prefix: str, deliver: Callable[[Delivery], None]
    ) -> None:
        number = int(entry.partition(b"-")[2])
        if number > self._last:
            super().hand_over(entry, fields, prefix, deliver)
            self._last = number
