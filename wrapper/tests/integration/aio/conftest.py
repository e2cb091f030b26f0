"""A store for asyncio, and a loop to use it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from runtime_config.aio import AsyncConfigStore

Main = Callable[[AsyncConfigStore], Coroutine[Any, Any, None]]


@pytest.fixture
def on_store(etcd_server: Any, root: str) -> Callable[..., None]:
    """Run a coroutine function with an open store, by default at the session's etcd, and close it at the end."""

    def run(main: Main, address: str | None = None, **options: Any) -> None:
        options.setdefault("timeout", 30.0)  # the machine may be busy

        async def opened() -> None:
            async with AsyncConfigStore(address or etcd_server.address, root=root, **options) as store:
                await main(store)

        asyncio.run(opened())

    return run
