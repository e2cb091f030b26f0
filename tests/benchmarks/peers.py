"""What the proxy is measured with and beside: servers and load generators of others, and Toxiproxy.

Each server is a process that a context manager ends. Toxiproxy is looked for as ``toxiproxy-server`` on PATH, and as
``toxiproxy-server`` or ``server`` (what ``go install`` names it) where Go installs programs.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOOLS = ("redis-server", "redis-benchmark", "iperf3", "nginx", "ab")
INSTALL = "on Debian: apt-get install redis-server redis-tools iperf3 nginx-light apache2-utils"
NO_TOXIPROXY = (
    "Toxiproxy is not measured: no toxiproxy-server on PATH, and neither it nor `server` in Go's bin directory; "
    "go install github.com/Shopify/toxiproxy/v2/cmd/server@latest"
)


def missing() -> list[str]:
    """The tools that are not installed."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_served(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:  # noqa: PERF203 - it is waiting, not working
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def process(*command: str) -> Iterator[None]:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


@contextlib.contextmanager
def redis() -> Iterator[int]:
    port = free_port()
    with process("redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"):
        wait_until_served(port)
        yield port


@contextlib.contextmanager
def iperf() -> Iterator[int]:
    port = free_port()
    with process("iperf3", "-s", "-B", "127.0.0.1", "-p", str(port)):
        wait_until_served(port)
        yield port


@contextlib.contextmanager
def nginx() -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        conf = Path(home, "nginx.conf")
        user = "user root;" if os.geteuid() == 0 else ""
        conf.write_text(
            f"daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1; {user}\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }} }}\n"
        )
        with process("nginx", "-c", str(conf), "-p", home):
            wait_until_served(port)
            yield port


PORTABLE_LINK = """
import sys
from pytest_netfault import NetFault

with NetFault(seed=1) as net:
    print(net.forward(int(sys.argv[1])).port, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def portable_link(port: int) -> Iterator[int]:
    """The port of a link to this one, in portable mode: in a process of its own, which is told when it starts."""
    with subprocess.Popen(
        [sys.executable, "-c", PORTABLE_LINK, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"NETFAULT_PORTABLE": "1"},
    ) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline())


def toxiproxy_program() -> str | None:
    """Where Toxiproxy's server is."""
    go = os.environ.get("GOBIN") or str(Path(os.environ.get("GOPATH", Path.home() / "go"), "bin"))
    return (
        shutil.which("toxiproxy-server")
        or shutil.which("toxiproxy-server", path=go)
        or shutil.which("server", path=go)
    )


class Toxiproxy:
    """A running Toxiproxy, told what to do over its control port."""

    def __init__(self, port: int) -> None:
        self._control = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> None:
        text = None if body is None else json.dumps(body)
        try:
            self._control.request(method, path, text)
        except ConnectionError:  # it closes connections that are idle for a few seconds
            self._control.close()
            self._control.request(method, path, text)
        answer = self._control.getresponse()
        said = answer.read().decode(errors="replace")
        if answer.status >= 300:
            raise RuntimeError(f"Toxiproxy said {answer.status} to {method} {path}: {said}")

    def forward(self, port: int) -> int:
        """The port of a new proxy to this one."""
        listen = free_port()
        addresses = {"upstream": f"127.0.0.1:{port}", "listen": f"127.0.0.1:{listen}"}
        self.ask("POST", "/proxies", {"name": f"p{listen}", **addresses})
        return listen

    def end(self, listen: int) -> None:
        """Remove a proxy."""
        self.ask("DELETE", f"/proxies/p{listen}")

    def delay(self, listen: int, milliseconds: int, *, up: bool = True, down: bool = True) -> None:
        """Put latency on a proxy."""
        for stream, wanted in (("upstream", up), ("downstream", down)):
            if wanted:
                toxic = {"name": stream, "type": "latency", "stream": stream}
                self.ask(
                    "POST", f"/proxies/p{listen}/toxics", {**toxic, "attributes": {"latency": milliseconds}}
                )

    def heal(self, listen: int, *, up: bool = True, down: bool = True) -> None:
        """Take the latency away."""
        for stream, wanted in (("upstream", up), ("downstream", down)):
            if wanted:
                self.ask("DELETE", f"/proxies/p{listen}/toxics/{stream}")

    def close(self) -> None:
        self._control.close()


@contextlib.contextmanager
def toxiproxy() -> Iterator[Toxiproxy | None]:
    """A Toxiproxy of our own, or None where there is none."""
    program = toxiproxy_program()
    if program is None:
        yield None
        return
    port = free_port()
    with process(program, "-host", "127.0.0.1", "-port", str(port)):
        wait_until_served(port)
        with contextlib.closing(Toxiproxy(port)) as running:
            yield running
