"""MariaDB with a binlog of rows, synced with each commit; the truth is the binlog from its start.

It is followed by one thread, on one connection: to begin a stream takes a dozen questions, and all schedules that are
played side by side ask for the truth.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from docs.gallery.servers.common import Revision, program, revision, said
from pytest_netfault.servers import OwnedProcess, OwnedServer, ServerError

_AS_ROOT = ["--user=root"] if os.getuid() == 0 else []
_COLUMNS = "number BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(200), value VARCHAR(200)"


class MariaDb(OwnedServer):
    """One server; its user is ``root`` without a password."""

    def __init__(self) -> None:
        super().__init__(
            self._options,
            ready=lambda port: self._connect(port).close(),
            prepare=self._prepare,
            stop_signal=signal.SIGTERM,
            name="mariadb",
        )
        self._found: list[Revision] = []
        self._more, self._asking = threading.Condition(), threading.Lock()
        self._connection: Any = None

    @staticmethod
    def _prepare(folder: Path) -> None:
        install = program("mariadb-install-db", "Debian's mariadb-server-core")
        options = ["--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal"]
        command = [install, *options, "--skip-test-db", *_AS_ROOT]
        with OwnedProcess(command, output=folder / "install.txt", folder=folder) as made:
            if not made.wait(120) or made.returncode != 0:
                raise ServerError(f"mariadb-install-db failed: {made.output()}")

    @staticmethod
    def _options(port: int, folder: Path) -> list[str]:
        where = [f"--datadir={folder}/data", f"--socket={folder}/s.sock", f"--pid-file={folder}/pid"]
        binlog = [
            "--log-bin=bin",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",
        ]
        binlog += ["--server-id=1", "--sync-binlog=1", f"--port={port}", "--bind-address=127.0.0.1"]
        small = ["--innodb-buffer-pool-size=32M", "--performance-schema=OFF", "--skip-name-resolve"]
        server = program("mariadbd", "Debian's mariadb-server-core")
        return [server, "--no-defaults", *where, *binlog, *small, *_AS_ROOT]

    @staticmethod
    def _connect(port: int) -> Any:
        try:
            return pymysql.connect(
                host="127.0.0.1", port=port, user="root", connect_timeout=5, autocommit=True
            )
        except pymysql.MySQLError as error:
            raise ServerError(str(error)) from error

    def direct(self) -> Any:
        return self._connect(self.port)

    def follow(self, closed: threading.Event) -> None:
        """Read the binlog from its start, and go on where it was left; until it is closed."""
        where = {"host": "127.0.0.1", "port": self.port, "user": "root", "password": "", "read_timeout": 5}
        at = ("bin.000001", 4)
        while not closed.is_set():
            stream = BinLogStreamReader(
                connection_settings=where,
                server_id=90,
                blocking=True,
                slave_heartbeat=0.5,
                resume_stream=True,
                log_file=at[0],
                log_pos=at[1],
                only_events=[WriteRowsEvent],
                only_tables=["changes"],
            )
            with contextlib.suppress(pymysql.MySQLError, OSError):  # it is restarted, or paused
                for event in stream:
                    self._add([(row["values"]["name"], row["values"]["value"]) for row in event.rows])
                    # Behind the last row only: what the server sends at the start of a stream is at earlier positions.
                    at = (stream.log_file, stream.log_pos)
                    if closed.is_set():
                        break
            with contextlib.suppress(pymysql.MySQLError, OSError):
                stream.close()
            closed.wait(0.05)

    def _add(self, rows: list[tuple[str, str | None]]) -> None:
        with self._more:
            for key, value in rows:
                self._found.append(revision(len(self._found) + 1, key, value))
            self._more.notify_all()

    def revision(self) -> int:
        with self._asking:
            try:
                return self._count()
            except pymysql.MySQLError:  # the connection is of before a restart
                self._connection = None
                return self._count()

    def _count(self) -> int:
        self._connection = self._connection or self.direct()
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM settings.changes")  # rows are only added
            return int(cursor.fetchone()[0])

    def log(self, after_revision: int) -> list[Revision]:
        newest = self.revision()
        with self._more:
            if not self._more.wait_for(lambda: len(self._found) >= newest, 30):
                raise ServerError(f"the binlog has {len(self._found)} of {newest} rows after 30 s")
            return self._found[after_revision:]


@contextlib.contextmanager
def open_server() -> Iterator[MariaDb]:
    with MariaDb() as server:
        with server.direct() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE settings")
            cursor.execute(f"CREATE TABLE settings.changes ({_COLUMNS})")
        closed = threading.Event()
        following = threading.Thread(target=server.follow, args=(closed,), daemon=True)
        following.start()
        try:
            yield server
        finally:
            closed.set()
            following.join(10)


def version() -> str:
    found = re.search(r"Ver ([\d.]+)", said(program("mariadbd", "Debian's mariadb-server-core"), "--version"))
    return f"MariaDB {found[1]}" if found else "MariaDB"
