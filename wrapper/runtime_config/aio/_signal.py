"""How a thread wakes a coroutine: the only thing that the feed's thread does to an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes coroutines of one loop from any thread, as a condition does: clear, look, and wait if there is nothing.

    `on_dead` is called, in the thread that wanted to wake somebody, when the loop has been closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_dead: Callable[[], None] = lambda: None) -> None:
        self._loop, self._on_dead = loop, on_dead
        self._event = asyncio.Event()
        # One call of the loop for however many wakes between two looks.
        self._called = False

    def wake(self) -> None:
        """Safe from any thread, never blocks, never raises."""
        if self._called:
            return
        self._called = True
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._on_dead()

    def clear(self) -> None:
        """Before looking: whatever changes from now on wakes."""
        # In this order, a wake in between sets the event once more, later: it is never forgotten.
        self._called = False
        self._event.clear()

    async def wait(self, deadline: float | None = None) -> None:
        """Wait for a wake since the last `clear`, or until `deadline` on the loop's clock; look again either way."""
        timer = None if deadline is None else self._loop.call_at(deadline, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()


async def until(
    ready: Callable[[], bool], watch: Callable[[Callable[[], None]], Callable[[], None]], deadline: float
) -> bool:
    """Wait until `ready()`, or until `deadline` on the loop's clock; return the last answer.

    `watch` registers what to call, from any thread, when the answer may have changed; it returns what ends that.
    """
    loop = asyncio.get_running_loop()
    signal = Signal(loop)
    unwatch = watch(signal.wake)
    try:
        while True:
            signal.clear()
            if ready():
                return True
            if loop.time() >= deadline:
                return False
            await signal.wait(deadline)
    finally:
        unwatch()
