"""Four ways to follow changes in Redis with redis-py, behind the four methods of the proof kit.

* `PubSubStore`: ``SUBSCRIBE``. What is published while the subscriber is away is gone.
* `StreamStore`: ``XREAD`` from the last id that was handed over. Nothing is gone.
* `RetryingStreamStore`: the same with redis-py's default retries. It sends a write again whose answer was cut.
* `LatestStore`: a hash with the latest values; a message is only the hint to read it. Values in between are skipped.

`RedisStream` is the truth for those that write the stream: a server with a log. Pub/sub keeps none; its truth is what
the writers were told, and what `RedisKeys` reads.
"""

from __future__ import annotations

import contextlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pytest_netfault import Delivery, Event

STREAM, HASH, CHANNEL = "changes", "latest", "changed"
SOCKET_SECONDS = 1.0  # no answer for so long: the connection is dead
# So often an idle reader hears something, and knows by it that its connection lives.
LISTEN_MILLISECONDS = 200
RETRY_SECONDS = 0.05

# One change: into the log, into the state, and a word to those who listen. Redis runs a script as one.
CHANGE = """
    local state = redis.call('HGET', KEYS[2], ARGV[2])
    if not ARGV[4] and not (state and state:find(' ')) then return end  -- there is nothing to delete
    local revision = redis.call('XADD', KEYS[1], '0-*', unpack(ARGV))
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[4] and revision .. ' ' .. ARGV[4] or revision)
    redis.call('PUBLISH', KEYS[3], ARGV[2])
    return revision
"""


class RedisStream:
    """The truth: the stream itself. With ids ``0-1``, ``0-2``, ... the second number is a revision."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._redis: Any = _connect(address)

    def revision(self) -> int:
        return _last_revision(self._redis)

    def log(self, after_revision: int) -> list[SimpleNamespace]:
        entries = self._redis.xrange(STREAM, min=f"(0-{after_revision}")
        return [
            SimpleNamespace(
                revision=_revision(entry),
                events=[
                    SimpleNamespace(
                        type="put" if b"value" in fields else "delete",
                        key=fields[b"key"],
                        value=fields.get(b"value"),
                    )
                ],
            )
            for entry, fields in entries
        ]

    def close(self) -> None:
        self._redis.close()


class RedisKeys:
    """The truth where there is no log: the keys with their values, as they are now."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._redis: Any = _connect(address)

    def read(self, prefix: str) -> dict[str, str]:
        keys = list(self._redis.scan_iter(f"{prefix}*", count=1000))
        values = self._redis.mget(keys) if keys else []
        held = zip(keys, values, strict=True)
        return {key.decode(): value.decode() for key, value in held if value is not None}

    def close(self) -> None:
        self._redis.close()


class Follower(ABC):
    """What the stores share: a connection for writes, and a thread that follows and begins again when it fails."""

    # Without retries: an error means that nobody knows whether the write counts, and whoever wrote has to decide.
    options: ClassVar[Mapping[str, Any]] = {"retry": Retry(NoBackoff(), 0)}

    def __init__(self, address: str) -> None:
        self._redis: Any = _connect(address, **self.options)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, key: str, value: str) -> None:
        self._redis.eval(CHANGE, 3, STREAM, HASH, CHANNEL, "key", key, "value", value)

    def delete(self, key: str) -> None:
        self._redis.eval(CHANGE, 3, STREAM, HASH, CHANNEL, "key", key)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(prefix, deliver, started))
        self._thread.start()
        started.wait()

    def _live(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(redis.RedisError, OSError):
                self._follow(prefix, deliver, started)
            self._closed.wait(RETRY_SECONDS)
        started.set()  # closed before it ever began

    @abstractmethod
    def _follow(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        """Hand over what comes, until closed or until the connection fails."""

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._redis.close()


class PubSubStore(Follower):
    """Sets a key and publishes the change; the subscriber listens."""

    def put(self, key: str, value: str | None) -> None:
        with self._redis.pipeline() as both:  # MULTI ... EXEC
            if value is None:
                both.delete(key)
            else:
                both.set(key, value)
            both.publish(CHANNEL, json.dumps([key, value]))
            both.execute()

    def delete(self, key: str) -> None:
        self.put(key, None)

    def _follow(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        with self._redis.pubsub() as listening:
            listening.subscribe(CHANNEL)
            while not self._closed.is_set():
                message = listening.get_message(timeout=LISTEN_MILLISECONDS / 1000)
                if message is not None and message["type"] == "subscribe":
                    started.set()
                elif message is not None and message["type"] == "message":
                    key, value = json.loads(message["data"])
                    if key.startswith(prefix):
                        deliver(Delivery(events=(Event(key, value),)))


class StreamStore(Follower):
    """Adds each change to a stream; the subscriber reads on behind the last entry that it has handed over."""

    _after: int | None = None

    def _follow(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        if self._after is None:
            self._after = _last_revision(self._redis)
            started.set()
        while not self._closed.is_set():
            answer = self._redis.xread({STREAM: f"0-{self._after}"}, block=LISTEN_MILLISECONDS)
            for entry, fields in answer[0][1] if answer else []:
                key, value = fields[b"key"].decode(), fields.get(b"value")
                if key.startswith(prefix):
                    event = Event(key, None if value is None else value.decode(), _revision(entry))
                    deliver(Delivery(events=(event,)))
                self._after = _revision(entry)  # behind the handing over: it may not be forgotten


class RetryingStreamStore(StreamStore):
    """The same with a client of defaults, which sends a command again if its connection fails."""

    options: ClassVar[Mapping[str, Any]] = {}


class LatestStore(Follower):
    """Hands over each key's state when it is another than before; the messages say when to look."""

    _handed: Mapping[str, bytes] | None = None

    def _follow(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        with self._redis.pubsub() as listening:
            listening.subscribe(CHANNEL)
            while not self._closed.is_set():
                # At the start of each subscription, at each message, and now and then: who is told nothing looks.
                self._look(prefix, deliver)
                started.set()
                listening.get_message(timeout=LISTEN_MILLISECONDS / 1000)

    def _look(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        found = self._redis.hgetall(HASH)
        now = {key.decode(): state for key, state in found.items() if key.startswith(prefix.encode())}
        before = now if self._handed is None else self._handed
        changed = [
            Event(key, _value(state), _revision(state))
            for key, state in now.items()
            if before.get(key) != state
        ]
        self._handed = now
        for event in sorted(changed, key=lambda event: event.revision or 0):
            deliver(Delivery(events=(event,)))


def _connect(address: str, **options: Any) -> redis.Redis:
    host, _, port = address.rpartition(":")
    return redis.Redis(
        host,
        int(port),
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        protocol=2,  # whose greeting is equally long each time, so that byte 12 is the same byte in each run
        **options,
    )


def _revision(state: bytes) -> int:
    """The 5 of ``0-5``, with or without a value behind it."""
    return int(state.split(b" ", 1)[0].partition(b"-")[2])


def _value(state: bytes) -> str | None:
    _, there, value = state.partition(b" ")
    return value.decode() if there else None


def _last_revision(connection: Any) -> int:
    newest = connection.xrevrange(STREAM, count=1)
    return _revision(newest[0][0]) if newest else 0
