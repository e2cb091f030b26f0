"""The store for asyncio: what a service opens once on its loop and keeps.

    async with AsyncConfigStore("127.0.0.1:2379", root="/config/prod") as store:
        (await store.get(LIMIT)).value

It adds no algorithm: reads and writes are calls of a `ConfigStore` in a few threads (`_workers`), and a subscription
takes its items from the same feed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar, cast

from runtime_config import errors
from runtime_config._etcd.endpoints import TLS
from runtime_config._etcd.writes import Expect, Put
from runtime_config._following import ELSEWHERE
from runtime_config._numbers import revision as checked_revision
from runtime_config._numbers import shown
from runtime_config._updating import held, pause
from runtime_config.aio._callbacks import AsyncHandle, Callbacks, States
from runtime_config.aio._runner import BlockingStore, Runner
from runtime_config.aio._signal import until
from runtime_config.aio.live import AsyncLive
from runtime_config.aio.subscription import AsyncSubscription
from runtime_config.aio.transaction import AsyncTransaction
from runtime_config.keys import Key, Section, check_key
from runtime_config.state import Counters, Health, State
from runtime_config.values import Absent, Snapshot, Versioned

T = TypeVar("T")
log = logging.getLogger("runtime_config")

# How long `close` waits for callbacks that are under way, in seconds.
_CALLBACK_SECONDS = 0.5


class AsyncConfigStore:
    """Shared configuration below one root, for the coroutines of one event loop; open one there and keep it.

    The arguments are those of `ConfigStore`, and bad ones raise ValueError or TypeError here. Nothing is connected
    before `async with`, `store = await AsyncConfigStore(...)`, or else the first call; it is then that the server is
    reached (unless `wait=False`), and that Unavailable, AuthenticationFailed or PermissionDenied are raised.

    Cancelling any of its coroutines leaves the store as usable as before. A cancelled wait for an item loses none. For
    a cancelled write nothing more is sent, but what was sent may have been applied, or may yet be: do not just repeat
    it, but read, or use `compare_and_set` or `update`.

    Codecs run on the loop for items, and in a thread for calls. `close()` releases everything within a second, whatever
    the network does. A store that is garbage-collected is released too, with a `ResourceWarning`. On another loop than
    its first every method but `close` raises RuntimeError, in a forked process Closed.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        root: str = "/config",
        *,
        username: str | None = None,
        password: str | None = None,
        tls: TLS | bool | None = None,
        timeout: float = 5.0,
        patience: float | None = None,
        dead_after: float = 20.0,
        wait: bool = True,
    ) -> None:
        store = BlockingStore(endpoints, root, username, password, tls, timeout, patience, dead_after, wait)
        self._store = store
        self._runner = Runner(store)
        self._callbacks = Callbacks()
        self._lives: dict[str, AsyncLive[Any]] = {}

    # Opening and closing

    async def _open(self) -> AsyncConfigStore:
        limit = self._runner.limit(None)  # a use on the wrong loop changes nothing
        try:
            if not self._store._opened.is_set():
                await self._runner.run(lambda _: None, limit)
        except BaseException:
            if not self._store._resources.closed:
                await self.close()
            raise
        return self

    def __await__(self) -> Generator[Any, None, AsyncConfigStore]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncConfigStore:
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Release everything, within a second. Idempotent; allowed in a callback, on any loop, and in a forked process.

        Iterations of subscriptions end. A callback that does not return is cancelled. Cancelling this does not stop it.
        """
        if not self._runner.owner.here:
            return
        await self._runner.close()
        await self._callbacks.end(_CALLBACK_SECONDS)

    # Reading

    async def get(self, key: Key[T], *, timeout: float | None = None, stale_ok: bool = False) -> Versioned[T]:
        """The value of a key, or its default. The read is linearizable.

        With `stale_ok` any member answers from its own state, even one without a quorum.
        Raises KeyNotSet without value and default, DecodeError, Unavailable, DeadlineExceeded.
        """
        return await self._runner.run(
            lambda left: self._store.get(key, timeout=left, stale_ok=stale_ok), self._runner.limit(timeout)
        )

    async def get_all(
        self, *targets: Key[Any] | Section, timeout: float | None = None, stale_ok: bool = False
    ) -> Snapshot:
        """Everything in a section (or several, or some keys), all as of one revision.

        Raises DecodeError naming the first key whose value cannot be decoded, Unavailable, DeadlineExceeded.
        """
        return await self._runner.run(
            lambda left: self._store.get_all(*targets, timeout=left, stale_ok=stale_ok),
            self._runner.limit(timeout),
        )

    # Writing

    async def set(self, key: Key[T], value: T, *, timeout: float | None = None) -> Versioned[T]:
        """Set a key, whatever it held.

        Raises EncodeError, ValueTooLarge, StoreFull, Unavailable (certainly not applied), or OutcomeUnknown,
        which `settle` resolves.
        """
        return await self._write(lambda left: self._store.set(key, value, timeout=left), timeout)

    async def compare_and_set(
        self, key: Key[T], expected: Versioned[T] | Absent, new: T, *, timeout: float | None = None
    ) -> Versioned[T]:
        """Set a key only if it still holds exactly the version that was read (`ABSENT`: only if it holds nothing).

        Repeated after a lost reply; a first attempt that was applied is recognised.
        Raises Conflict with what the key holds instead, and what `set` raises.
        """
        return await self._write(
            lambda left: self._store.compare_and_set(key, expected, new, timeout=left), timeout
        )

    async def delete(self, key: Key[Any], *, timeout: float | None = None) -> bool:
        """Delete a key; True if it was there, else nothing changes, not even the revision. Raises what `set` raises."""
        return await self._write(lambda left: self._store.delete(key, timeout=left), timeout)

    async def update(
        self, key: Key[T], fn: Callable[[T], T | Awaitable[T]], *, timeout: float | None = None
    ) -> Versioned[T]:
        """Replace a value by what `fn` returns for it; no other writer's change is overwritten.

        `fn`, which may be a coroutine function, runs on the loop. It gets the current value (or the default), and is
        called again whenever another writer was faster: it should have no side effects. Raises KeyNotSet when there is
        neither, Conflict when others were faster until the timeout was over, whatever `fn` raises, and what `set`
        raises.
        """
        deadline = time.monotonic() + self._runner.limit(timeout)
        seen: Versioned[T] | Absent = await self._current(check_key(key), timeout)
        tries = 0
        while True:
            value = fn(held(key, seen))
            new = await value if isinstance(value, Awaitable) else value
            try:
                return await self.compare_and_set(
                    key, seen, new, timeout=max(0.001, deadline - time.monotonic())
                )
            except errors.Conflict as conflict:
                if time.monotonic() >= deadline:
                    raise
                seen = conflict.current
            tries += 1
            await asyncio.sleep(pause(tries))

    async def _current(self, key: Key[T], timeout: float | None) -> Versioned[T] | Absent:
        return await self._runner.run(
            lambda left: self._store._current(key, left), self._runner.limit(timeout)
        )

    def transaction(self, *, timeout: float | None = None) -> AsyncTransaction:
        """Several changes as one: `async with store.transaction() as txn:`; see `AsyncTransaction`."""
        limit = self._runner.limit(timeout)

        async def commit(keys: list[Key[Any]], expects: list[Expect], puts: list[Put]) -> int:
            return await self._write(lambda left: self._store._commit(left, keys, expects, puts), limit)

        return AsyncTransaction(commit)

    async def _write(self, write: Callable[[float], T], timeout: float | None) -> T:
        limit = self._runner.limit(timeout)
        began = time.monotonic()
        # A start that takes long must not use up all the time of the write.
        await self._runner.after_starts(limit / 2)
        return await self._runner.run(write, max(0.001, limit - (time.monotonic() - began)))

    async def settle(self, error: errors.OutcomeUnknown, *, timeout: float | None = None) -> int | None:
        """Determine the outcome of a write that raised OutcomeUnknown: its revision if it was applied, else None.

        None is final: a copy of the write that is still in flight is void from now on.
        Raises Unavailable or DeadlineExceeded while no server answers, OutcomeUnknown when the store has compacted the
        history that is needed (minutes to hours later, depending on the server's configuration).
        """
        return await self._runner.run(
            lambda left: self._store.settle(error, timeout=left), self._runner.limit(timeout)
        )

    # Following

    def subscribe(self, *targets: Key[Any] | Section, timeout: float | None = None) -> AsyncSubscription:
        """Follow keys and sections: an `AsyncSubscription`, to iterate, to `await`, or for `async with`.

        The snapshot, its first item, contains everything written before this call. It is asked for in the background;
        `await` and `async with` wait for it, for at most the timeout while the store cannot be reached, and then it
        follows as soon as possible. A lost connection raises nothing.
        """
        limit = self._runner.limit(timeout)
        following = self._store._following
        subscription = AsyncSubscription(
            following.cover(targets),
            self._runner,
            limit,
            on_close=self._store._forget,
            on_overflow=following.count_overflow,
        )
        following.enter(subscription)
        subscription.begin()
        return subscription

    async def on_change(self, *targets_and_callback: Any, timeout: float | None = None) -> AsyncHandle:
        """`await store.on_change(key, callback)`: call back with each item of a subscription, the `Snapshot` first.

        `key` may be a Section, or several arguments; `callback` may be a coroutine function. Calls are made on the
        loop, one at a time, in order; what they raise is logged and counted, see `AsyncHandle`. `AsyncHandle.cancel()`
        ends them; until then the store stays open.
        """
        *targets, callback = targets_and_callback or (None,)
        if not callable(callback):
            raise TypeError(f"the last argument must be the callback, not {callback!r}")
        subscription = self.subscribe(*targets, timeout=timeout)
        try:
            await subscription
        except BaseException:
            subscription.close()
            raise
        handle = AsyncHandle(subscription.shut)
        on_error, report = self._store._following.reports(targets, handle)

        def on_end(error: BaseException) -> None:
            subscription.shut()
            if isinstance(error, asyncio.CancelledError):  # as all tasks are when their loop ends
                handle.ended_by(error)
            else:
                report(error)

        subscription.on_dead = self._callbacks.call(subscription, callback, on_error, on_end)
        return handle

    async def live(self, key: Key[T], *, timeout: float | None = None) -> AsyncLive[T]:
        """A value that is kept up to date in the background; the same object for the same key.

        Waits like `subscribe` for its first value.
        """
        limit = self._runner.limit(timeout)
        live = await self._runner.run(lambda left: self._store.live(key, timeout=left), limit)
        found = self._lives.get(key.name)
        if found is None:
            found = self._lives[key.name] = AsyncLive(live, lambda callback: self.on_change(key, callback))
        return cast("AsyncLive[T]", found)

    # State

    @property
    def state(self) -> State:
        """`CONNECTING`, `SYNCED`, `STALE` or `CLOSED`; the last also in a forked process."""
        return self._store.state

    @property
    def stale_since(self) -> float | None:
        """When the state became STALE, in seconds since the epoch; None unless it is. See `ConfigStore.stale_since`."""
        return self._store.stale_since

    @property
    def last_error(self) -> Exception | None:
        """Why the store is not synced; None while it is."""
        return self._store.last_error

    @property
    def revision(self) -> int:
        """The last revision that was delivered completely to all subscriptions."""
        return self._store.revision

    @property
    def counters(self) -> Counters:
        """Numbers to export, as of now."""
        return self._store.counters

    async def on_state(self, callback: Callable[[State], Any]) -> AsyncHandle:
        """Call back with each new state, on the loop, until the `AsyncHandle` is cancelled.

        `callback` may be a coroutine function.
        """
        self._runner.limit(None)
        if not callable(callback):
            raise TypeError(f"the argument must be the callback, not {shown(callback)}")
        states = States(self._runner.loop(), self._store._monitor)
        handle = AsyncHandle(states.end)
        states.on_dead = self._callbacks.call(states, callback, self._on_state_error, handle.ended_by)
        return handle

    def _on_state_error(self, _: BaseException) -> None:
        # Referred to by the task of the callback, so it keeps the store open.
        self._store._monitor.count("callback_errors")
        log.exception("a state callback raised")

    async def wait_synced(self, timeout: float | None = None) -> None:
        """Wait until the state is SYNCED. Raises DeadlineExceeded, or Closed."""
        limit, deadline = await self._opened(timeout)
        monitor = self._store._monitor
        if not await until(monitor.synced, lambda wake: monitor.watch(lambda _: wake()), deadline):
            raise monitor.not_synced(limit)

    async def wait_revision(self, revision: int, timeout: float | None = None) -> None:
        """Wait until everything up to `revision` was delivered to all subscriptions, such as one's own write.

        `revision` is that of a write, a `Versioned` or an item. Raises DeadlineExceeded, or Closed.
        """
        checked_revision("revision", revision)
        limit, deadline = await self._opened(timeout)
        loop, following, sinks = asyncio.get_running_loop(), self._store._following, self._store._feed.sinks
        while not await until(
            lambda: sinks.reached(revision),
            lambda wake: sinks.watch(revision, wake),
            min(deadline, loop.time() + ELSEWHERE),
        ):
            left = deadline - loop.time()
            if left <= 0:
                raise following.not_delivered(revision, limit)
            if await self._nothing_between(revision, left):
                return
        if sinks.revision < revision:
            raise errors.Closed("the store is closed")

    async def _nothing_between(self, revision: int, seconds: float) -> bool:
        try:
            return await self._runner.run(
                lambda left: self._store._following.nothing_between(revision, time.monotonic() + left),
                seconds,
            )
        except errors.Unavailable:
            return False

    async def _opened(self, timeout: float | None) -> tuple[float, float]:
        """Open the store, if it is not; return what may be waited, in seconds and until when on the loop's clock."""
        limit = self._runner.limit(timeout)
        deadline = asyncio.get_running_loop().time() + limit
        if not self._store._opened.is_set():
            await self._runner.run(lambda _: None, limit)
        return limit, deadline

    async def health(self, timeout: float | None = None) -> Health:
        """Make one linearizable read, which only a working majority can answer. Never raises for its result."""
        self._runner.loop()
        began = time.monotonic()
        try:
            return await self._runner.run(
                lambda left: self._store.health(timeout=left), self._runner.limit(timeout)
            )
        except errors.ConfigError as error:
            return Health(False, time.monotonic() - began, None, error)

    def __repr__(self) -> str:
        return repr(self._store)
