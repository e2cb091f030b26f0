"""Clients that are coroutines, driven from the kit's threads on one asyncio loop.

::

    a thread of the kit's ---- put("a", "1") ----> LoopStore ---- a task ----> one loop, on one thread
                          <--- returns or raises ------+

One loop serves a whole proof, because some clients (grpc.aio is one) share global state between the loops of a
process. Tasks are counted for the client that made them, also those that its own tasks make: what is left when it has
been closed is cancelled, awaited, and named in `AsyncClients.left_behind`.

What such a task raises is logged at DEBUG and not printed: under a fault it is expected.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from pytest_netfault.proof.process_store import ProcessStore
from pytest_netfault.store import Delivery, OpenStore, Store

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncClients", "is_async"]

_LOG = logging.getLogger("pytest_netfault.proof")

# How long cancelled tasks may take to end. Nobody waits so long for one that ends at its next await.
_CANCEL_SECONDS = 2.0
_METHODS = ("put", "delete", "put_many", "subscribe", "close")

# Which client a task belongs to; tasks inherit it from whoever makes them.
_CLIENT: contextvars.ContextVar[_Tasks | None] = contextvars.ContextVar("netfault_client", default=None)


def is_async(function: object) -> bool:
    """Whether calling this gives a coroutine: a coroutine function, or an object whose ``__call__`` is one.

    >>> async def put(key, value): ...
    >>> is_async(put), is_async(print)
    (True, False)
    """
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - a coroutine function is looked for, not a callable
    )


class _Tasks:
    """The tasks of one client, and the coroutines of those that are calls of the kit's."""

    def __init__(self) -> None:
        self.all: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.calls: weakref.WeakSet[Coroutine[Any, Any, Any]] = weakref.WeakSet()


class AsyncClients:
    """An ``open_store`` for the kit, over one whose clients may be coroutines. Plain clients are passed through.

    Args:
        open_store: the user's function, or coroutine function.
        close_timeout: how long a client's ``close()`` may take, in seconds, before its tasks are cancelled.

    Attributes:
        left_behind: what clients left running when they had been closed, by the name of the task, with how often.

    The loop and its thread are started with the first coroutine and end with `close`.
    """

    def __init__(self, open_store: OpenStore, *, close_timeout: float) -> None:
        self._open_store = open_store
        self._close_timeout = close_timeout
        self._loop: _LoopThread | None = None
        self._starting = threading.Lock()
        self.left_behind: dict[str, int] = {}
        self.rejected: Any = getattr(open_store, "rejected", ())

    def __call__(self, address: str, /) -> Store:
        """Open a client; its methods may be called from any thread.

        Raises:
            Exception: what the user's function raises.
        """
        tasks = _Tasks()
        if is_async(self._open_store):
            store: Any = self._running().call(tasks, self._open_store, address)
        else:
            store = self._open_plainly(address)
        if not any(is_async(getattr(store, name, None)) for name in _METHODS):
            return store  # type: ignore[no-any-return]
        return _LoopStore(store, tasks, self)

    def _open_plainly(self, address: str) -> Any:
        if isinstance(self._open_store, ProcessStore):
            return self._open_store.open(address, close_timeout=self._close_timeout)
        return self._open_store(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel whatever still runs and end the loop and its thread. Idempotent."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def _running(self) -> _LoopThread:
        with self._starting:  # the two clients of a run are opened by threads of their own
            if self._loop is None:
                self._loop = _LoopThread()
            return self._loop

    def _close_store(self, store: Any, tasks: _Tasks) -> None:
        loop = self._running()
        error: BaseException | None = None
        try:
            loop.call(tasks, _within, store.close, self._close_timeout)
        except Exception as raised:
            error = raised
        for name in loop.call(None, _cancel, tasks):
            self.left_behind[name] = self.left_behind.get(name, 0) + 1
        if error is not None:
            raise error


class _LoopStore:
    """One client whose methods are coroutines, as the kit calls it. Plain methods of it run on the loop as well."""

    def __init__(self, store: Any, tasks: _Tasks, clients: AsyncClients) -> None:
        self._store = store
        self._tasks = tasks
        self._clients = clients
        if callable(getattr(store, "put_many", None)):
            self.put_many = self._put_many
        if callable(getattr(store, "decode", None)):
            self.decode = store.decode

    def put(self, key: str, value: str) -> None:
        self._call(self._store.put, key, value)

    def delete(self, key: str) -> None:
        self._call(self._store.delete, key)

    def _put_many(self, changes: Mapping[str, str | None]) -> None:
        self._call(self._store.put_many, changes)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        self._call(self._store.subscribe, prefix, deliver)

    def close(self) -> None:
        self._clients._close_store(self._store, self._tasks)

    def _call(self, method: Callable[..., Any], *arguments: object) -> Any:
        return self._clients._running().call(self._tasks, method, *arguments)

    def __repr__(self) -> str:
        return repr(self._store)


async def _within(close: Callable[[], Any], seconds: float) -> None:
    """Await a client's ``close()``, at most so long; what it raises is raised."""
    result = close()
    if inspect.isawaitable(result):
        closing = asyncio.ensure_future(result)
        await asyncio.wait({closing}, timeout=seconds)
        if closing.done():
            closing.result()


async def _cancel(tasks: _Tasks) -> list[str]:
    """Cancel a client's tasks, and calls that hang in it; return the names of its own that were still running."""
    left = {task for task in tasks.all if not task.done()}
    if not left:
        return []
    for task in left:
        task.cancel()
    _, deaf = await asyncio.wait(left, timeout=_CANCEL_SECONDS)
    return sorted(_name(task, deaf=task in deaf) for task in left if task.get_coro() not in tasks.calls)


def _name(task: asyncio.Task[Any], *, deaf: bool) -> str:
    name: str = getattr(task.get_coro(), "__qualname__", task.get_name())
    return f"{name} (which ignores its cancellation)" if deaf else name


class _LoopThread:
    """An asyncio loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_make_task)
        self._loop.set_exception_handler(_log_failure)
        self._thread = threading.Thread(target=self._run, name="netfault asyncio clients", daemon=True)
        self._thread.start()

    def call(self, tasks: _Tasks | None, function: Callable[..., Any], *arguments: object) -> Any:
        """Call a function or coroutine function on the loop, as the client that owns these tasks; wait for it."""

        async def calling() -> Any:
            result = function(*arguments)
            return await result if inspect.isawaitable(result) else result

        context = contextvars.copy_context()
        context.run(_CLIENT.set, tasks)
        coroutine = calling()
        if tasks is not None:
            tasks.calls.add(coroutine)  # before it begins: it may be cancelled before that
        try:
            future = context.run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)
        except RuntimeError:  # the loop is closed already: a client that never closes is called until then
            coroutine.close()
            raise
        return future.result()

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            try:
                left = asyncio.all_tasks(self._loop)
                for task in left:
                    task.cancel()
                if left:
                    self._loop.run_until_complete(asyncio.wait(left, timeout=_CANCEL_SECONDS))
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            finally:
                asyncio.set_event_loop(None)
                self._loop.close()


def _make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(coroutine, loop=loop, **options)
    if (tasks := _CLIENT.get()) is not None:
        tasks.all.add(task)
    return task


def _log_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _LOG.debug("in an asyncio client: %s", context.get("message"), exc_info=context.get("exception"))
