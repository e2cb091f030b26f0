"""Real etcds of every version at hand.

What `find_etcd` finds is always used. ``NETFAULT_ETCD_CURRENT`` names today's etcd, where it was built (see
``tests/etcd-current``), and ``NETFAULT_TEST_ETCDS`` more binaries, separated by colons: the same tests run with each.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
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
