"""A value that is always current: `limit = await store.live(LIMIT)`, then `limit.value` wherever it is needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from runtime_config.aio._callbacks import AsyncHandle
from runtime_config.live import Live
from runtime_config.values import Item

T = TypeVar("T")


class AsyncLive(Generic[T]):
    """The current value of one key. Reading it awaits nothing and makes no call, and is safe from any thread.

    While the store cannot be reached it keeps its last value, and `age` grows. A stored value that cannot be
    decoded is logged, and the last good one stays in force. As long as it is referred to, its store stays open. In
    a forked process every property raises Closed.
    """

    def __init__(
        self, live: Live[T], on_change: Callable[[Callable[[Item], Any]], Awaitable[AsyncHandle]]
    ) -> None:
        self._live, self._on_change = live, on_change

    @property
    def value(self) -> T:
        """The current value, or the key's default.

        Raises KeyNotSet if the store holds nothing and there is no default, DecodeError if it never held a
        good value, Unavailable if the store has not been reached even once.
        """
        return self._live.value

    @property
    def revision(self) -> int:
        """The revision of the last write of this key; 0 while it is not set."""
        return self._live.revision

    @property
    def age(self) -> float:
        """Seconds since the server last replied: the value is at most that old. Infinite before the first reply."""
        return self._live.age

    async def on_change(self, callback: Callable[[Item], Any]) -> AsyncHandle:
        """The same as `await store.on_change(key, callback)`."""
        return await self._on_change(callback)

    def __repr__(self) -> str:
        return repr(self._live)
