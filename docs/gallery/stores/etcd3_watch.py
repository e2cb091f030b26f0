"""etcd3: a watch of a prefix, which begins again behind the last revision that it has seen."""

import threading

import etcd3

from pytest_netfault import Delivery, Event, Resync


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.where = {"host": host, "port": int(port), "timeout": 3}
        self.client = etcd3.client(**self.where)
        self.closed, self.thread, self.cancel = threading.Event(), None, None

    def put(self, key, value):
        self.client.put(key, value)

    def delete(self, key):
        self.client.delete(key)

    def subscribe(self, prefix, deliver):
        newest = self.client.get_response("nothing").header.revision
        self.thread = threading.Thread(target=self.follow, args=(newest + 1, prefix, deliver), daemon=True)
        self.thread.start()

    def follow(self, start, prefix, deliver):
        while not self.closed.is_set():
            client = etcd3.client(**self.where)
            try:
                events, self.cancel = client.watch_prefix(prefix, start_revision=start)
                for event in events:
                    value = None if isinstance(event, etcd3.events.DeleteEvent) else event.value.decode()
                    deliver(Delivery(events=(Event(event.key.decode(), value, event.mod_revision),)))
                    start = event.mod_revision + 1
            except etcd3.exceptions.RevisionCompactedError:
                state = self.client.get_prefix_response(prefix)
                start = state.header.revision + 1
                kvs = {kv.key.decode(): kv.value.decode() for kv in state.kvs}
                deliver(Delivery(resync=Resync(start - 1, kvs)))
            except Exception:
                self.closed.wait(0.1)
            finally:
                client.close()  # or its watcher tries again and again on a thread of its own

    def close(self):
        self.closed.set()
        if self.cancel is not None:
            self.cancel()
        self.client.close()


open_store = Store
