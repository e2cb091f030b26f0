"""Redis, every command on its disk before it is answered; the truth is what it holds."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import redis as client

from docs.gallery.servers.common import Revision, program, revision, said
from pytest_netfault.servers import OwnedServer

STREAM = "changes"


class Keys(OwnedServer):
    """Its keys and values."""

    def __init__(self) -> None:
        super().__init__(self._options, name="redis")

    @staticmethod
    def _options(port: int, folder: Path) -> list[str]:
        kept = [
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--aof-use-rdb-preamble",
            "no",
        ]
        where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        return [program("redis-server", "Debian's redis-server"), *where, *kept]

    def read(self, prefix: str) -> dict[str, str]:
        with client.Redis(port=self.port, decode_responses=True) as direct:
            held = {key: direct.get(key) for key in direct.scan_iter(f"{prefix}*", count=1000)}
        return {key: value for key, value in held.items() if value is not None}


class Stream(Keys):
    """One stream, which is a log: each entry has a key and a value, or a key alone for a delete."""

    read = None  # type: ignore[assignment]

    def _entries(self) -> list[dict[str, str]]:
        with client.Redis(port=self.port, decode_responses=True) as direct:
            return [fields for _, fields in direct.xrange(STREAM)]

    def revision(self) -> int:
        with client.Redis(port=self.port) as direct:
            return int(direct.xlen(STREAM))

    def log(self, after_revision: int) -> list[Revision]:
        entries = list(enumerate(self._entries(), start=1))[after_revision:]
        return [revision(number, fields["key"], fields.get("value")) for number, fields in entries]


@contextlib.contextmanager
def open_server() -> Iterator[Keys]:
    with Keys() as server:
        yield server


@contextlib.contextmanager
def open_stream() -> Iterator[Stream]:
    with Stream() as server:
        yield server


def version() -> str:
    found = re.search(r"v=([\d.]+)", said(program("redis-server", "Debian's redis-server"), "--version"))
    return f"Redis {found[1]}" if found else "Redis"
