"""mysql-replication: changes are inserted, and followed in the binlog from the last position after a failure."""

import itertools
import threading

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from pytest_netfault import Delivery, Event

SERVER_IDS = itertools.count(1000)


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.where = {"host": host, "port": int(port), "user": "root", "passwd": "", "connect_timeout": 2}
        self.closed, self.thread = threading.Event(), None

    def put(self, key, value):
        with pymysql.connect(**self.where, autocommit=True, read_timeout=3) as connection:
            insert = "INSERT INTO settings.changes (name, value) VALUES (%s, %s)"
            connection.cursor().execute(insert, (key, value))

    def delete(self, key):
        self.put(key, None)

    def subscribe(self, prefix, deliver):
        with pymysql.connect(**self.where, read_timeout=3) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS")
            start = cursor.fetchone()[:2]
        self.thread = threading.Thread(target=self.follow, args=(start, prefix, deliver), daemon=True)
        self.thread.start()

    def follow(self, at, prefix, deliver):
        server_id = next(SERVER_IDS)
        while not self.closed.is_set():
            stream = BinLogStreamReader(
                self.where | {"read_timeout": 4}, server_id, log_file=at[0], log_pos=at[1],
                resume_stream=True, blocking=True, only_events=[WriteRowsEvent], slave_heartbeat=1,
            )  # fmt: skip
            try:
                for event in stream:
                    for row in event.rows:
                        key, value = row["values"]["name"], row["values"]["value"]
                        if key.startswith(prefix):
                            deliver(Delivery(events=(Event(key, value),)))
                    at = (stream.log_file, stream.log_pos)
            except (pymysql.MySQLError, OSError):
                self.closed.wait(0.1)

    def close(self):
        self.closed.set()


open_store = Store
