"""What the wrapper's tests share. A real etcd and links that break come from the fixtures of pytest-netfault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from runtime_config import ConfigStore


@pytest.fixture
def root(etcd_server: Any) -> str:
    """A root that nobody else uses, in the session's etcd."""
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
