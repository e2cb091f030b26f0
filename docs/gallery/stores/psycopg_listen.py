"""psycopg: LISTEN on a connection of its own, which is made again when it fails."""

import json
import threading

import psycopg

from pytest_netfault import Delivery, Event

PUT = "INSERT INTO settings VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
ALIVE = "connect_timeout=2 keepalives_idle=2 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=3000"


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.where = f"host={host} port={port} user=postgres {ALIVE}"
        self.closed, self.listening = threading.Event(), threading.Event()
        self.thread = None

    def write(self, statement, key, value):
        with psycopg.connect(self.where) as connection:  # one transaction
            connection.execute(statement, [key] if value is None else [key, value])
            connection.execute("SELECT pg_notify('changed', %s)", [json.dumps([key, value])])

    def put(self, key, value):
        self.write(PUT, key, value)

    def delete(self, key):
        self.write("DELETE FROM settings WHERE key = %s", key, None)

    def subscribe(self, prefix, deliver):
        self.thread = threading.Thread(target=self.follow, args=(prefix, deliver))
        self.thread.start()
        self.listening.wait(5)

    def follow(self, prefix, deliver):
        while not self.closed.is_set():
            try:
                with psycopg.connect(self.where, autocommit=True) as connection:
                    connection.execute("LISTEN changed")
                    self.listening.set()
                    while not self.closed.is_set():
                        for notify in connection.notifies(timeout=0.2):
                            key, value = json.loads(notify.payload)
                            if key.startswith(prefix):
                                deliver(Delivery(events=(Event(key, value),)))
            except psycopg.OperationalError:
                self.closed.wait(0.1)

    def close(self):
        self.closed.set()
        if self.thread is not None:
            self.thread.join()


open_store = Store
