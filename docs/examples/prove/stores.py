"""The client under test: keys of a Redis, and a subscriber that follows their changes by pub/sub."""

from __future__ import annotations

import contextlib
import json
import threading

import redis

from pytest_netfault import Delivery, Event

CHANNEL = "changes"


class PubSubStore:
    def __init__(self, address):
        host, port = address.split(":")
        self._redis = redis.Redis(host, int(port), decode_responses=True, socket_timeout=1)
        self._closed = threading.Event()
        self._thread = None

    def put(self, key, value):
        with self._redis.pipeline() as both:  # MULTI ... EXEC
            both.set(key, value) if value is not None else both.delete(key)
            both.publish(CHANNEL, json.dumps([key, value]))
            both.execute()

    def delete(self, key):
        self.put(key, None)

    def subscribe(self, prefix, deliver):
        started = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(prefix, deliver, started))
        self._thread.start()
        started.wait(2)

    def _follow(self, prefix, deliver, started):
        while not self._closed.is_set():
            with contextlib.suppress(redis.RedisError, OSError), self._redis.pubsub() as listening:
                listening.subscribe(CHANNEL)
                while not self._closed.is_set():
                    message = listening.get_message(timeout=0.2) or {"type": "nothing"}
                    if message["type"] == "subscribe":
                        started.set()
                    elif message["type"] == "message":
                        key, value = json.loads(message["data"])
                        if key.startswith(prefix):
                            deliver(Delivery(events=(Event(key, value),)))
            self._closed.wait(0.05)  # and on it goes, with what is published from now on

    def close(self):
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        self._redis.close()


open_store = PubSubStore
