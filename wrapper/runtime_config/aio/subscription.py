"""A subscription of an `AsyncConfigStore`: the same items as that of a `ConfigStore`, awaited.

    async with store.subscribe(Section("billing")) as updates:
        async for item in updates:
            ...

There is no task and no thread for it. An item is taken and returned without an `await` in between, so a cancellation
comes before an item is taken, or after it was returned: there is no other place.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from runtime_config import errors
from runtime_config._feed.inbox import Ended, Inbox
from runtime_config._feed.sink import Cover
from runtime_config._numbers import seconds as checked_seconds
from runtime_config.aio._callbacks import Done
from runtime_config.aio._runner import Runner
from runtime_config.aio._signal import Signal
from runtime_config.values import Item

if TYPE_CHECKING:
    from runtime_config.aio._workers import Call


class AsyncSubscription(Inbox):
    """An asynchronous iterator of items, in strictly ascending revision: one `Snapshot` first, then `Changes`,
    `Resynced`, `Undecodable`.

    Its start is fixed no later than `await store.subscribe(...)` or entering `async with` returns, and before the next
    write of the same store is sent; what was written before the call is in the snapshot. Iterating directly, without
    either, is fine as well.

    Cancelling a wait for an item loses nothing: the next one gets it. Items wait for a consumer that is slow, or for a
    loop that is blocked, as long as they fit (1,000, or 16 MiB); then one `Resynced` bridges the rest. Between two
    items the loop gets a turn. Several tasks may iterate; each item goes to one of them.

    Iteration ends when the subscription or the store is closed. It raises `PermissionDenied` or `AuthenticationFailed`
    when the server refuses to serve it for good, and RuntimeError on another loop. A subscription that is
    garbage-collected is closed, and as long as it is referred to, its store stays open.
    """

    def __init__(
        self,
        cover: Cover,
        runner: Runner,
        seconds: float,
        *,
        on_close: Callable[[Inbox], None],
        on_overflow: Callable[[], None],
        **limits: int,
    ) -> None:
        super().__init__(cover, on_close=on_close, on_overflow=on_overflow, **limits)
        self._runner, self._seconds = runner, seconds
        self._signal = Signal(runner.loop(), partial(_shut, weakref.ref(self)))
        self._starting: Call[None] | None = None
        self._started = False
        self._in_a_row = False
        #: Called when the loop has been closed under it.
        self.on_dead: Callable[[], None] = lambda: None

    def _notify(self) -> None:
        self._signal.wake()

    # The start

    def begin(self) -> None:
        """Have it started in the background; `store.subscribe` does this."""
        following = self._runner.store._following
        self._starting = self._runner.begin_start(partial(following.start, self), self._seconds)
        wake = self._signal.wake
        self._starting.future.add_done_callback(lambda _: wake())

    def _check_start(self) -> None:
        """Raises, once, what kept the store from being opened; the next use tries again."""
        if self._started:
            return
        if self._starting is None:
            self.begin()
        elif self._starting.future.done():
            error = self._starting.future.exception()
            self._starting = None
            if error is not None:
                raise error
            self._started = True

    async def _start(self) -> AsyncSubscription:
        loop = self._runner.loop()
        self._check_start()
        if self._starting is not None:
            done = self._runner.finished(self._starting.future)
            timer = loop.call_later(self._seconds, partial(_settle, done))
            try:
                await done
            finally:
                timer.cancel()
            self._check_start()
        return self

    def __await__(self) -> Generator[Any, None, AsyncSubscription]:
        return self._start().__await__()

    async def __aenter__(self) -> AsyncSubscription:
        self._runner.loop()  # a use on the wrong loop changes nothing
        try:
            return await self._start()
        except BaseException:
            self.shut()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.shut()

    # The items

    async def get(self, timeout: float | None = None) -> Item:
        """The next item, waiting at most `timeout` seconds (None: without limit; 0: only what is there already).

        Raises DeadlineExceeded when none came, Closed when no more will come, and what iterating raises.
        """
        if timeout is not None:
            timeout = checked_seconds("timeout", timeout, least=0.0)
        try:
            return await self._next(timeout)
        except Ended:
            raise errors.Closed("the subscription is closed") from None

    async def _next(self, seconds: float | None) -> Item:
        loop = self._runner.loop()
        deadline = None if seconds is None else loop.time() + seconds
        if self._in_a_row:
            await asyncio.sleep(0)
        self._in_a_row = True
        while True:
            self._signal.clear()
            if (item := self.poll()) is not None:
                return item
            self._check_start()
            if deadline is not None and loop.time() >= deadline:
                raise errors.DeadlineExceeded("no item came in time")
            self._in_a_row = False
            await self._signal.wait(deadline)

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> Item:
        try:
            return await self._next(None)
        except Ended:
            raise StopAsyncIteration from None

    def close(self) -> Awaitable[None]:
        """End the iteration. Idempotent; it acts at once, and the result may be awaited but need not be."""
        self.shut()
        return Done()


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _shut(reference: weakref.ref[AsyncSubscription]) -> None:
    """The loop was closed, so nobody will take anything any more."""
    subscription = reference()
    if subscription is not None:
        subscription.shut()
        subscription.on_dead()
