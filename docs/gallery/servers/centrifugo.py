"""Centrifugo with one channel that keeps its history, in memory: a restart is none of its abilities.

The truth is that history, read over the API of the server: the offset of a publication is its revision.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from docs.gallery.servers.built import build, run
from docs.gallery.servers.common import Revision, revision
from pytest_netfault.servers import OwnedServer, ReservedPort

VERSION = "6.9.1"
CHANNEL = "changes"
_MODULE = f"github.com/centrifugal/centrifugo/v6@v{VERSION}"


def _centrifugo() -> str:
    def make(folder: Path) -> None:
        run(folder, "go", "install", _MODULE, GOBIN=str(folder), GOFLAGS="-mod=mod")

    return str(build("centrifugo", _MODULE, make, "go") / "centrifugo")


def _config(port: int, internal: int) -> dict[str, Any]:
    allowed = ("allow_subscribe_for_client", "allow_publish_for_client", "allow_history_for_client")
    channel = {"history_size": 1_000_000, "history_ttl": "24h", "force_recovery": True}
    return {
        "http_server": {
            "address": "127.0.0.1",
            "port": port,
            "internal_address": "127.0.0.1",
            "internal_port": str(internal),
        },
        "health": {"enabled": True},
        "http_api": {"key": "gallery"},
        "client": {"insecure": True, "ping_interval": "3s", "pong_timeout": "2s"},
        "channel": {"without_namespace": {**channel, **dict.fromkeys(allowed, True)}},
    }


class History:
    """The history of the channel."""

    def __init__(self, server: OwnedServer, internal: int) -> None:
        self.address, self.pause, self.resume = server.address, server.pause, server.resume
        self.output = server.output
        self._internal = internal

    def _ask(self, **more: Any) -> dict[str, Any]:
        body = json.dumps({"channel": CHANNEL, **more}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self._internal}/api/history", body)
        asked.add_header("X-API-Key", "gallery")
        with urllib.request.urlopen(asked, timeout=10) as answer:
            result: dict[str, Any] = json.load(answer)["result"]
            return result

    def revision(self) -> int:
        return int(self._ask(limit=0).get("offset", 0))

    def log(self, after_revision: int) -> list[Revision]:
        found = [(one["offset"], one["data"]) for one in self._ask(limit=-1).get("publications", [])]
        return [
            revision(number, data["key"], data["value"]) for number, data in found if number > after_revision
        ]


@contextlib.contextmanager
def open_server() -> Iterator[History | SimpleNamespace]:
    program = _centrifugo()
    with ReservedPort() as internal:

        def command(port: int, folder: Path) -> list[str]:
            (folder / "config.json").write_text(json.dumps(_config(port, internal.number)))
            return [program, "--config", str(folder / "config.json")]

        def ready(_port: int) -> None:
            with urllib.request.urlopen(f"http://127.0.0.1:{internal.number}/health", timeout=5) as answer:
                if answer.status != 200:
                    raise OSError(f"it answered {answer.status}")

        with OwnedServer(command, ready=ready, name="centrifugo") as server:
            yield History(server, internal.number)


def version() -> str:
    _centrifugo()
    return f"Centrifugo {VERSION}"
