"""kazoo: a ChildrenWatch of a folder, and a DataWatch of each node in it."""

import contextlib

from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError, NoNodeError

from pytest_netfault import Delivery, Event, Resync

ROOT = "/settings"


class Store:
    def __init__(self, address):
        self.client = KazooClient(hosts=address, timeout=4)
        self.client.start(timeout=5)
        self.watched, self.present = set(), set()

    def put(self, key, value):
        with contextlib.suppress(NodeExistsError):
            return self.client.create_async(f"{ROOT}/{key}", value.encode()).get(timeout=3)
        return self.client.set_async(f"{ROOT}/{key}", value.encode()).get(timeout=3)

    def delete(self, key):
        with contextlib.suppress(NoNodeError):
            self.client.delete_async(f"{ROOT}/{key}").get(timeout=3)

    def subscribe(self, prefix, deliver):
        def watch(key):
            @self.client.DataWatch(f"{ROOT}/{key}")
            def changed(data, stat):
                if data is not None or key in self.present:
                    self.present.add(key) if data is not None else self.present.discard(key)
                    deliver(Delivery(events=(Event(key, None if data is None else data.decode()),)))

        kvs = self.state(prefix)
        self.present.update(kvs)
        deliver(Delivery(resync=Resync(None, kvs)))

        @self.client.ChildrenWatch(ROOT)
        def listed(children):
            for key in {*children, *self.present} - self.watched:
                if key.startswith(prefix):
                    self.watched.add(key)
                    watch(key)

    def state(self, prefix):
        kvs = {}
        for key in self.client.get_children(ROOT):
            if key.startswith(prefix):
                with contextlib.suppress(NoNodeError):
                    kvs[key] = self.client.get(f"{ROOT}/{key}")[0].decode()
        return kvs

    def close(self):
        self.client.stop()
        self.client.close()


open_store = Store
