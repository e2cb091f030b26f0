"""MariaDB with a binlog of rows, synced with each commit; the truth is the binlog from its start."""

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
        self._at = ("bin.000001", 4)
        self._reading = threading.Lock()

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

    def _read(self) -> list[Revision]:
        """The binlog to its end, from where it was read last; it takes a dozen questions, so only if there is more."""
        with self._reading:
            if self.revision() == len(self._found):
                return list(self._found)
            settings = {"host": "127.0.0.1", "port": self.port, "user": "root", "passwd": ""}
            stream = BinLogStreamReader(
                connection_settings=settings,
                server_id=90,
                blocking=False,
                resume_stream=True,
                log_file=self._at[0],
                log_pos=self._at[1],
                only_events=[WriteRowsEvent],
                only_tables=["changes"],
            )
            for event in stream:
                for row in event.rows:
                    key, value = row["values"]["name"], row["values"]["value"]
                    self._found.append(revision(len(self._found) + 1, key, value))
                # Behind the last row only: what the server sends at the start of a stream is at earlier positions.
                self._at = (stream.log_file, stream.log_pos)
            stream.close()
            return list(self._found)

    def revision(self) -> int:
        with self.direct() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM settings.changes")  # rows are only added
            return int(cursor.fetchone()[0])

    def log(self, after_revision: int) -> list[Revision]:
        return self._read()[after_revision:]


@contextlib.contextmanager
def open_server() -> Iterator[MariaDb]:
    with MariaDb() as server:
        with server.direct() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE settings")
            cursor.execute(f"CREATE TABLE settings.changes ({_COLUMNS})")
        yield server


def version() -> str:
    found = re.search(r"Ver ([\d.]+)", said(program("mariadbd", "Debian's mariadb-server-core"), "--version"))
    return f"MariaDB {found[1]}" if found else "MariaDB"
