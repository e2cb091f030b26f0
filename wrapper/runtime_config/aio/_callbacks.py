"""Callbacks on the loop: one task for each registered one, which awaits the items and calls it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

from runtime_config._monitor import Monitor
from runtime_config.aio._signal import Signal
from runtime_config.state import CLOSED, Handle, State

T = TypeVar("T")
log = logging.getLogger("runtime_config")

# A loop refers to its tasks weakly, and a callback keeps its store open until it is cancelled.
_TASKS: set[asyncio.Task[None]] = set()
# The task whose callback is being called, also for the tasks that the callback makes.
_WITHIN: ContextVar[asyncio.Task[Any] | None] = ContextVar("runtime_config_callback", default=None)


class Done:
    """Awaiting it is allowed, and not needed."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class AsyncHandle(Handle):
    """Cancels a registered callback. Also a context manager.

    What the callback raises is logged and counted, and later calls are made all the same; only KeyboardInterrupt and
    SystemExit leave the loop, as anywhere else on it. Until it is cancelled the callback keeps its store open.
    """

    def cancel(self) -> Awaitable[None]:  # type: ignore[override]
        """No call begins from now on; one that is under way ends by itself. Idempotent, and allowed in the callback.

        It acts at once; the result may be awaited, and need not be.
        """
        super().cancel()
        return Done()

    def ended_by(self, error: BaseException) -> None:
        """Why no more calls are made."""
        self.error = error


class States:
    """The states of a store from now on, as an asynchronous iterator that ends after CLOSED."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monitor: Monitor) -> None:
        self._signal = Signal(loop, self._dead)
        self._states: deque[State] = deque()
        self._ended = False
        #: Called when the loop has been closed.
        self.on_dead: Callable[[], None] = lambda: None
        self._unwatch = monitor.watch(self.add)

    def _dead(self) -> None:
        self._unwatch()
        self.on_dead()

    def add(self, state: State) -> None:
        """Called by any thread."""
        self._states.append(state)
        self._signal.wake()

    def end(self) -> None:
        """No more states; from any thread."""
        self._unwatch()
        self._ended = True
        self._signal.wake()

    def __aiter__(self) -> AsyncIterator[State]:
        return self

    async def __anext__(self) -> State:
        while True:
            self._signal.clear()
            if self._ended:
                raise StopAsyncIteration
            if self._states:
                state = self._states.popleft()
                self._ended = state is CLOSED
                return state
            await self._signal.wait()


class Callbacks:
    """The callbacks of one store."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def call(
        self,
        source: AsyncIterator[T],
        callback: Callable[[T], object],
        on_error: Callable[[BaseException], None],
        on_end: Callable[[BaseException], None],
    ) -> Callable[[], None]:
        """Call back with each item, one after another; awaited, if it returns something to await.

        `on_error` gets what the callback raises, `on_end` what ends the source. Returns what forgets the task, for a
        loop that has been closed.
        """
        task = asyncio.get_running_loop().create_task(
            _deliver(source, callback, on_error, on_end), name="runtime-config-callback"
        )
        _TASKS.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return lambda: self._forget(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._forget(task)
        if not task.cancelled():
            task.exception()  # a KeyboardInterrupt has left the loop already: not to be reported once more

    def _forget(self, task: asyncio.Task[None]) -> None:
        _TASKS.discard(task)
        self._tasks.discard(task)

    async def end(self, seconds: float) -> None:
        """Wait for callbacks that are under way, at most so long, and cancel those that are still running then."""
        loop = asyncio.get_running_loop()
        for task in list(self._tasks):
            if task.get_loop() is not loop:
                self._forget(task)
        waiting = self._tasks - {_WITHIN.get(), asyncio.current_task()}
        if not waiting:
            return
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for task in late:
            log.warning("a callback did not return, and is cancelled: %r", task)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=0.1)


async def _deliver(
    source: AsyncIterator[T],
    callback: Callable[[T], object],
    on_error: Callable[[BaseException], None],
    on_end: Callable[[BaseException], None],
) -> None:
    _WITHIN.set(asyncio.current_task())
    try:
        async for item in source:
            await _call(callback, item, on_error)
    except BaseException as error:
        on_end(error)
        if not isinstance(error, Exception):
            raise


async def _call(callback: Callable[[T], object], item: T, on_error: Callable[[BaseException], None]) -> None:
    try:
        result = callback(item)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a CancelledError, too: nothing was awaited, so it is the callback's own
        on_error(error)
        return
    if not inspect.isawaitable(result):
        return
    try:
        await result
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        if _cancelled():
            raise
        on_error(error)
    except BaseException as error:
        on_error(error)


def _cancelled() -> bool:
    """Whether this task was cancelled, and not something that it awaits. Before Python 3.11 that cannot be known."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is None or cancelling() > 0
