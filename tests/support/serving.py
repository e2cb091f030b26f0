"""``netfault serve`` as a process of its own, and a plain HTTP client that shows every byte of an answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from support.processes import owned

__all__ = ["Answer", "Serving", "Upstream"]

# Far longer than anything here takes: reached only when something is broken.
PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """An answer, as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Serving:
    """A server on a free port of 127.0.0.1, or with the flags that a test gives."""

    def __init__(self, *flags: str, env: Mapping[str, str] | None = None, stdin: int | None = None) -> None:
        command = [sys.executable, "-m", "pytest_netfault", "serve", "--host=127.0.0.1", "--port=0", *flags]
        self.process = subprocess.Popen(
            owned(command),
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.started: list[str] = []  # what the log said until it served
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.started.append(line.rstrip("\n"))
            if found := re.search(r"control on http://(.+):(\d+),", line):
                self.host, self.port = found[1].strip("[]"), int(found[2])
                return
        raise AssertionError(f"the server ended with {self.process.wait()}: {self.started}")

    @property
    def url(self) -> str:
        """Where it is controlled."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        with contextlib.closing(http.client.HTTPConnection(host, self.port, timeout=PATIENCE)) as connection:
            sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, sent, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(
                answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
            )

    def create(
        self, name: str, upstream: str, listen: str = "127.0.0.1:0", **more: object
    ) -> tuple[str, int]:
        """Create a proxy; where it listens."""
        answer = self.ask("POST", "/proxies", {"name": name, "upstream": upstream, "listen": listen, **more})
        assert answer.status == 201, answer
        host, _, port = answer.json["listen"].rpartition(":")
        return host.strip("[]"), int(port)

    def flush(self) -> None:
        """Delete every proxy."""
        for name in self.ask("GET", "/proxies").json:
            self.ask("DELETE", f"/proxies/{quote(name, safe='')}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit code, and what the log said since it served."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        log = self.process.stderr.read()  # not communicate(), which knows nothing of what was read ahead
        return self.process.wait(timeout=PATIENCE), log

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Upstream:
    """A server whose connections the test accepts and answers itself."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._owned = contextlib.ExitStack()
        self._owned.enter_context(self._listener)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def connect(self, place: tuple[str, int]) -> tuple[socket.socket, socket.socket]:
        """A connection through a proxy: the client's socket and the one that the upstream accepted."""
        client = self._owned.enter_context(socket.create_connection(place, timeout=PATIENCE))
        accepted, _ = self._listener.accept()
        accepted.settimeout(PATIENCE)
        return client, self._owned.enter_context(accepted)

    def close(self) -> None:
        """Close everything."""
        self._owned.close()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
