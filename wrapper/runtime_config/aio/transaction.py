"""Several changes that happen together or not at all, committed by a coroutine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from runtime_config._etcd.writes import Expect, Put
from runtime_config.keys import Key
from runtime_config.transaction import Operations


class AsyncTransaction(Operations):
    """Collects requirements and changes; commits when its `async with` block ends without an exception.

    `require`, `set` and `delete` are plain methods: they send nothing. At most 128 operations, each key at most once
    among the changes. Leaving the block raises what `store.set` raises, and `Conflict` for a requirement that does not
    hold. An exception inside the block, a cancellation included, commits nothing.
    """

    def __init__(self, commit: Callable[[list[Key[Any]], list[Expect], list[Put]], Awaitable[int]]) -> None:
        super().__init__()
        self._commit = commit

    async def __aenter__(self) -> AsyncTransaction:
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave(kind):
            self.revision = await self._commit(self._keys, self._expects, self._puts) or None
