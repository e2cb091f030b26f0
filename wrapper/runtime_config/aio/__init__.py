"""The same for asyncio: `AsyncConfigStore` has the names of `ConfigStore` as coroutines.

    from runtime_config import Key
    from runtime_config.aio import AsyncConfigStore

    LIMIT = Key("billing.limit", int, default=100)
    async with AsyncConfigStore("127.0.0.1:2379", root="/config/prod") as store:
        await store.set(LIMIT, 200)
        async for item in store.subscribe(LIMIT):  # a Snapshot, then Changes
            ...

Keys, values, items and errors are those of `runtime_config`. Modules whose names begin with an underscore are private:

_signal, _workers    how a thread wakes a coroutine; threads for calls that block
_runner              the loop, the threads and the blocking store that the coroutines of one store share
_callbacks           callbacks on the loop
"""

from __future__ import annotations

from runtime_config.aio._callbacks import AsyncHandle
from runtime_config.aio.live import AsyncLive
from runtime_config.aio.store import AsyncConfigStore
from runtime_config.aio.subscription import AsyncSubscription
from runtime_config.aio.transaction import AsyncTransaction

__all__ = ["AsyncConfigStore", "AsyncHandle", "AsyncLive", "AsyncSubscription", "AsyncTransaction"]
