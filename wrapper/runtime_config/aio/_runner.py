"""What the coroutines of one store share: its loop, its threads, and the blocking store that does the work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from runtime_config import errors
from runtime_config._owner import Owner
from runtime_config.aio._workers import Call, Workers
from runtime_config.store import ConfigStore

T = TypeVar("T")


class BlockingStore(ConfigStore):
    """The store behind an `AsyncConfigStore`: not connected before its first call, and unclosed in other words."""

    _shown_as = "AsyncConfigStore"
    _how_to_close = "await close(), or use 'async with'"

    def __init__(self, *arguments: Any) -> None:
        self._assemble(*arguments)


class Runner:
    """Runs what blocks in threads, for the coroutines of one loop. Everything but `store` is used on that loop only."""

    def __init__(self, store: ConfigStore) -> None:
        self.store = store
        self.owner = Owner()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers = Workers()
        self._starts: set[Call[None]] = set()
        self._closing: Future[None] | None = None
        store._resources.finally_call(self._workers.close)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises Closed in a forked process, RuntimeError on any loop but the first."""
        self.owner.check()
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "an AsyncConfigStore is used by coroutines, on a running event loop; here there is none"
            ) from None
        if self._loop is None:
            self._loop = running
        if self._loop is not running:
            closed = ", which is closed," if self._loop.is_closed() else ""
            raise RuntimeError(
                f"this AsyncConfigStore belongs to another event loop{closed} and cannot be used on this one; open one "
                "store on each loop (close() works on any)"
            )
        return running

    def limit(self, timeout: float | None) -> float:
        """The seconds that a call may take. Raises ValueError, TypeError, Closed, and what `loop` raises."""
        self.loop()
        return self.store._limit(timeout)

    # Calls

    def begin(self, function: Callable[[float], T], seconds: float) -> Call[T]:
        """Call `function` in a thread, with what is then left of the seconds, on a store that is open."""
        return self._workers.submit(partial(_on_open_store, self.store, function, time.monotonic() + seconds))

    async def run(self, function: Callable[[float], T], seconds: float) -> T:
        """The same, and wait for it. When this is cancelled, nothing more is sent for the call.

        Raises what `function` raises, and Unavailable when its turn did not come in time.
        """
        call = self.begin(function, seconds)
        try:
            # A call that has begun ends by itself, in time.
            timer = self.loop().call_later(seconds, call.future.cancel)
            try:
                await self.finished(call.future)
            except asyncio.CancelledError:
                call.give_up()
                raise
            finally:
                timer.cancel()
            if call.future.cancelled():
                raise errors.Unavailable(
                    f"nothing was sent: so many calls were under way that this one had no turn within {seconds:.2f} s"
                )
            return call.future.result()
        finally:
            del call  # its exception refers to this frame

    def finished(self, future: Future[Any]) -> asyncio.Future[None]:
        """Done when the other is, however it ends; cancelling it does not cancel the other."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def tell(_: Future[Any]) -> None:
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

        future.add_done_callback(tell)
        return done

    # Starts of subscriptions

    def begin_start(self, function: Callable[[float], None], seconds: float) -> Call[None]:
        """The same as `begin`, for the start of a subscription: the store's next writes wait for it."""
        call = self.begin(function, seconds)
        self._starts = {one for one in self._starts if not one.future.done()} | {call}
        return call

    async def after_starts(self, seconds: float) -> None:
        """Wait, at most so long, for the subscriptions that were asked for before.

        So what a coroutine writes after `subscribe` is a change in that subscription, and not in its snapshot already.
        """
        starting = [self.finished(call.future) for call in self._starts if not call.future.done()]
        if starting:
            await asyncio.wait(starting, timeout=seconds)

    # Closing

    async def close(self) -> None:
        """Release the store in a thread; cancelled or not, that goes on to its end."""
        if self._closing is None:
            closing: Future[None] = Future()
            self._closing = closing
            threading.Thread(
                target=_close, args=(self.store, closing), name="runtime-config-close", daemon=True
            ).start()
        await self.finished(self._closing)


def _on_open_store(store: ConfigStore, function: Callable[[float], T], deadline: float) -> T:
    store._open(max(0.001, deadline - time.monotonic()))
    return function(max(0.001, deadline - time.monotonic()))


def _close(store: ConfigStore, closing: Future[None]) -> None:
    try:
        store.close()
    finally:
        closing.set_result(None)
