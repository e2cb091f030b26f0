"""Real etcds of every version at hand, and ways to watch processes end.

What `find_etcd` finds is always used. ``NETFAULT_ETCD_CURRENT`` names today's etcd, where it was built (see
``tests/etcd-current``), and ``NETFAULT_TEST_ETCDS`` more binaries, separated by colons: the same tests run with each.
"""

from __future__ import annotations

import base64
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.servers.etcd import EtcdBinary, EtcdServer, find_etcd
from pytest_netfault.servers.etcd.gateway import Gateway


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "etcd_binary" in metafunc.fixturenames:
        named = [
            os.environ.get("NETFAULT_ETCD_CURRENT", ""),
            *os.environ.get("NETFAULT_TEST_ETCDS", "").split(":"),
        ]
        more = [path for path in dict.fromkeys(named) if path]
        metafunc.parametrize("etcd_binary", ["found", *more], indirect=True, scope="session")


@pytest.fixture(scope="session")
def any_binary() -> Path:
    """The etcd that users of this environment get."""
    source = find_etcd()
    assert isinstance(source, EtcdBinary)
    return source.path


@pytest.fixture(scope="session")
def etcd_binary(request: pytest.FixtureRequest, any_binary: Path) -> Path:
    """Each etcd at hand in turn."""
    return any_binary if request.param == "found" else Path(request.param)


@pytest.fixture
def etcd(etcd_binary: Path) -> Iterator[EtcdServer]:
    with EtcdServer(etcd_binary) as server:
        yield server


class Writer:
    """Writes to an etcd without any client library."""

    def __init__(self, server: EtcdServer) -> None:
        self._gateway = Gateway(server.host, server.port)

    def put(self, key: bytes, value: bytes) -> int:
        return self._gateway.put(key, value)

    def delete(self, key: bytes) -> int:
        return self._revision("/v3/kv/deleterange", {"key": _text(key)})

    def transaction(self, puts: dict[bytes, bytes], deletes: list[bytes]) -> int:
        operations: list[dict[str, Any]] = [
            {"request_put": {"key": _text(key), "value": _text(value)}} for key, value in puts.items()
        ]
        operations += [{"request_delete_range": {"key": _text(key)}} for key in deletes]
        return self._revision("/v3/kv/txn", {"success": operations})

    def compact(self, revision: int) -> None:
        self._gateway.compact(revision)

    def _revision(self, path: str, body: dict[str, Any]) -> int:
        return int(self._gateway.call(path, body)["header"]["revision"])


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


@pytest.fixture
def writer(etcd: EtcdServer) -> Writer:
    return Writer(etcd)


@pytest.fixture(scope="session")
def write_to() -> type[Writer]:
    """A writer to any etcd: ``write_to(server).put(...)``."""
    return Writer


class Script:
    """A Python program of ours in a process of its own, whose lines we read."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program ended without saying what was awaited"
        return line.strip()

    def wait(self) -> int:
        return self.process.wait(timeout=30)


@pytest.fixture
def run_script(interruptible: Callable[[Sequence[str]], list[str]]) -> Iterator[Callable[..., Script]]:
    """Start a program from its text; ``sys.argv[1:]`` are the arguments."""
    started: list[subprocess.Popen[str]] = []

    def run(text: str, *arguments: object, env: dict[str, str] | None = None) -> Script:
        process = subprocess.Popen(
            interruptible([sys.executable, "-c", text, *map(str, arguments)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        started.append(process)
        return Script(process)

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def wait_for_end() -> Callable[[int], None]:
    """Wait until the process of a number has ended, told by the kernel; at once if there is none."""

    def wait(pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            ended, _, _ = select.select([handle], [], [], 30)
            assert ended, f"process {pid} is still there"
        finally:
            os.close(handle)

    return wait
