"""PostgreSQL. The truth of LISTEN is what was committed; the table holds the latest value of each key."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg

from docs.gallery.servers.common import program, said
from pytest_netfault.servers import OwnedProcess, OwnedServer, ServerError

_FOLDERS = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
_TABLE = "CREATE TABLE settings (key text PRIMARY KEY, value text)"


def _postgres(name: str) -> str:
    return program(name, "Debian's postgresql", *_FOLDERS)


class Postgres(OwnedServer):
    """One database whose user and name are ``postgres``."""

    def __init__(self) -> None:
        self._of_debian = "postgres" if os.getuid() == 0 else None
        super().__init__(
            self._options,
            ready=self._serves,
            prepare=self._prepare,
            stop_signal=signal.SIGINT,
            user=self._of_debian,
            name="postgres",
        )

    def _prepare(self, folder: Path) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [_postgres("initdb"), "-D", str(folder / "data"), *options]
        with OwnedProcess(command, output=folder / "initdb.txt", folder=folder, user=self._of_debian) as made:
            if not made.wait(120) or made.returncode != 0:
                raise ServerError(f"initdb failed: {made.output()}")

    @staticmethod
    def _options(port: int, folder: Path) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return [_postgres("postgres"), "-D", str(folder / "data"), *settings]

    def _serves(self, port: int) -> None:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres connect_timeout=5").close()
        except psycopg.OperationalError as error:
            raise ServerError(str(error)) from error

    def direct(self) -> psycopg.Connection[tuple[str, str]]:
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres", autocommit=True)

    def read(self, prefix: str) -> dict[str, str]:
        with self.direct() as connection:
            return dict(
                connection.execute("SELECT key, value FROM settings WHERE starts_with(key, %s)", [prefix])
            )


@contextlib.contextmanager
def open_server() -> Iterator[Postgres]:
    with Postgres() as server:
        with server.direct() as connection:
            connection.execute(_TABLE)
        yield server


def version() -> str:
    found = re.search(r"\) ([\d.]+)", said(_postgres("postgres"), "--version"))
    return f"PostgreSQL {found[1]}" if found else "PostgreSQL"
