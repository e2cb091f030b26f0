"""A NATS server of ours with JetStream, and the truth about its bucket ``config`` of keys and values."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import nats
import pytest
from nats.js.errors import NotFoundError

from pytest_netfault.servers import OwnedServer

STREAM, SUBJECT = "KV_config", "$KV.config."
PATIENCE_SECONDS = 10.0

T = TypeVar("T")


class NatsServer(OwnedServer):
    """The program ``nats-server``. A change's revision is its sequence number in the stream behind the bucket."""

    def __init__(self) -> None:
        program = shutil.which("nats-server", path="/usr/local/bin:/usr/bin:/usr/sbin")
        if program is None:
            pytest.skip("the program nats-server is not installed; the Debian package nats-server has it")

        def command(port: int, folder: Path) -> list[str]:
            return [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "jetstream")]

        super().__init__(command, ready=_serves, name="nats")

    def revision(self) -> int:
        async def last(stream: Any) -> int:
            with contextlib.suppress(NotFoundError):  # nobody has made the bucket yet
                return int((await stream.stream_info(STREAM)).state.last_seq)
            return 0

        return self._ask(last)

    def log(self, after_revision: int) -> list[SimpleNamespace]:
        async def read(stream: Any) -> list[SimpleNamespace]:
            numbers = range(after_revision + 1, (await stream.stream_info(STREAM)).state.last_seq + 1)
            found = [await stream.get_msg(STREAM, number) for number in numbers]
            return [_revision(message) for message in found]

        return self._ask(read) if self.revision() > after_revision else []

    def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        async def ask() -> T:
            connection = await nats.connect(f"nats://{self.address}", allow_reconnect=False)
            try:
                return await question(connection.jetstream())
            finally:
                await connection.close()

        return asyncio.run(ask())


def _revision(message: Any) -> SimpleNamespace:
    kind = "delete" if (message.headers or {}).get("KV-Operation") else "put"
    value = message.data or b"" if kind == "put" else None
    event = SimpleNamespace(type=kind, key=message.subject.removeprefix(SUBJECT).encode(), value=value)
    return SimpleNamespace(revision=message.seq, events=[event])


def _serves(port: int) -> None:
    """A server greets with what it can."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        greeting = connection.makefile("rb").readline().removeprefix(b"INFO ")
        if not json.loads(greeting or b"{}").get("jetstream"):
            raise OSError("JetStream does not serve yet")
