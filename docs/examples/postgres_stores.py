"""Four ways to follow changes in PostgreSQL with psycopg, behind the methods of the proof kit.

* `NotifyStore`: ``LISTEN``. What is notified while the subscriber is away is gone.
* `NumberPollStore`: asks for rows with a higher number than the last one. Numbers are handed out when a row is
  inserted and rows are seen when their transaction commits, so a row may appear below a number that was already seen.
* `HorizonPollStore`: asks for rows in the order of their transactions, and for none beyond the oldest transaction that
  still runs. Below that horizon nothing can appear any more.
* `LockedPollStore`: asks by number, as the second one; those who write wait for each other, so that numbers become
  visible in their order.

`PostgresLog` is the truth: the table of changes. Its revisions are the transactions' own numbers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import psycopg

from pytest_netfault import Delivery, Event

CONNECT_SECONDS = 2  # libpq takes no less
ANSWER_SECONDS = 1.0  # no answer for so long: the connection is dead
POLL_SECONDS = 0.02
LISTEN_SECONDS = 0.2
RETRY_SECONDS = 0.05

TABLE = """
    CREATE TABLE IF NOT EXISTS changes (
        number bigserial PRIMARY KEY,
        transaction bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
        key text NOT NULL,
        value text
    )
"""
INSERT = "INSERT INTO changes (key, value) VALUES (%s, %s)"
# The newest transaction that has ended. Some that are older may still run.
NEWEST = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1"


class PostgresLog:
    """The truth: every change, in the order of the transactions that made them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._line = Line(address)
        self._line.ask(TABLE)

    def revision(self) -> int:
        return int(self._line.ask(NEWEST)[0][0])

    def log(self, after_revision: int) -> list[SimpleNamespace]:
        rows = self._line.ask(
            "SELECT transaction, key, value FROM changes WHERE transaction > %s ORDER BY transaction, number",
            after_revision,
        )
        return [
            SimpleNamespace(
                revision=revision,
                events=[
                    SimpleNamespace(
                        type="delete" if value is None else "put",
                        key=key.encode(),
                        value=None if value is None else value.encode(),
                    )
                    for _, key, value in changes
                ],
            )
            for revision, changes in itertools.groupby(rows, key=lambda row: row[0])
        ]

    def close(self) -> None:
        self._line.close()


class Line:
    """A connection that does not wait for ever: psycopg has a timeout for connecting, and none for an answer."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.connection = psycopg.connect(
            host=host,
            port=port,
            user="postgres",
            dbname="postgres",
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
        )
        # Of our own, so that its number cannot become another connection's before we shut it down.
        self._socket = socket.socket(fileno=os.dup(self.connection.fileno()))

    @contextlib.contextmanager
    def in_time(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection; what still waits for an answer after a while fails."""
        timer = threading.Timer(ANSWER_SECONDS, self.cut)
        timer.start()
        try:
            yield self.connection
        finally:
            timer.cancel()
            timer.join()

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.in_time() as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description is not None else []

    def cut(self) -> None:
        """Let whoever waits on this connection fail now."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.connection.close()
        self._socket.close()


class Follower(ABC):
    """What the stores share: a connection for writes, and a thread that follows and begins again when it fails."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._writing: Line | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, key: str, value: str) -> None:
        self.put_many({key: value})

    def delete(self, key: str) -> None:
        self.put_many({key: None})

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        if self._writing is not None and self._writing.connection.closed:
            self._writing.close()
            self._writing = None
        if self._writing is None:
            self._writing = Line(self._address)
        with self._writing.in_time() as connection, connection.transaction():
            self._write(connection, changes)

    def _write(self, connection: psycopg.Connection[Any], changes: Mapping[str, str | None]) -> None:
        for change in changes.items():
            connection.execute(INSERT, change)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(prefix, deliver, started))
        self._thread.start()
        started.wait()

    def _live(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(psycopg.Error, OSError):
                with contextlib.closing(Line(self._address)) as line:
                    self._follow(line, prefix, deliver, started)
            self._closed.wait(RETRY_SECONDS)
        started.set()  # closed before it ever began

    @abstractmethod
    def _follow(
        self, line: Line, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event
    ) -> None:
        """Hand over what comes, until closed or until the connection fails."""

    def close(self) -> None:
        self._closed.set()
        if self._writing is not None:
            self._writing.cut()
        if self._thread is not None:
            self._thread.join()
        if self._writing is not None:
            self._writing.close()


class NotifyStore(Follower):
    """Tells of the changes in the transaction that makes them; the subscriber listens."""

    def _write(self, connection: psycopg.Connection[Any], changes: Mapping[str, str | None]) -> None:
        super()._write(connection, changes)
        connection.execute("SELECT pg_notify('changes', %s)", (json.dumps(changes),))

    def _follow(
        self, line: Line, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event
    ) -> None:
        line.ask("LISTEN changes")
        started.set()
        while not self._closed.is_set():
            for notice in line.connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                changes = json.loads(notice.payload)
                events = tuple(Event(key, value) for key, value in changes.items() if key.startswith(prefix))
                if events:
                    deliver(Delivery(events=events))
            line.ask("SELECT")  # is anybody there?


class NumberPollStore(Follower):
    """Asks, again and again, for the rows whose number is higher than the last one that was handed over."""

    _after: int | None = None

    def _follow(
        self, line: Line, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event
    ) -> None:
        if self._after is None:
            self._after = line.ask("SELECT coalesce(max(number), 0) FROM changes")[0][0]
            started.set()
        while not self._closed.wait(POLL_SECONDS):
            rows = line.ask(
                "SELECT number, transaction, key, value FROM changes WHERE number > %s ORDER BY number",
                self._after,
            )
            for _, changes in itertools.groupby(rows, key=lambda row: row[1]):
                self._after = _hand_over(list(changes), prefix, deliver)


class LockedPollStore(NumberPollStore):
    """The same, but whoever writes waits until the others have committed."""

    def _write(self, connection: psycopg.Connection[Any], changes: Mapping[str, str | None]) -> None:
        connection.execute("SELECT pg_advisory_xact_lock(20517)")
        super()._write(connection, changes)


class HorizonPollStore(Follower):
    """Asks for what was committed by transactions behind the last one, as far as no older one still runs."""

    _after: int | None = None

    def _follow(
        self, line: Line, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event
    ) -> None:
        if self._after is None:
            # From the transactions on that have not begun yet. A service that reads the present state first takes it
            # as of pg_snapshot_xmin(pg_current_snapshot()), and begins there.
            self._after = line.ask(NEWEST)[0][0]
            started.set()
        while not self._closed.wait(POLL_SECONDS):
            rows = line.ask(
                "SELECT number, transaction, key, value FROM changes WHERE transaction > %s"
                " AND transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
                " ORDER BY transaction, number",
                self._after,
            )
            for transaction, changes in itertools.groupby(rows, key=lambda row: row[1]):
                _hand_over(list(changes), prefix, deliver)
                self._after = transaction  # behind the handing over: it may not be forgotten


def _hand_over(
    changes: list[tuple[int, int, str, str | None]], prefix: str, deliver: Callable[[Delivery], None]
) -> int:
    """One transaction in one delivery; the highest of its numbers."""
    events = tuple(
        Event(key, value, transaction) for _, transaction, key, value in changes if key.startswith(prefix)
    )
    if events:
        deliver(Delivery(events=events))
    return changes[-1][0]
