"""The store: what a service opens once and keeps.

    with ConfigStore("127.0.0.1:2379", root="/config/prod") as store:
        store.get(LIMIT).value

Two connections serve a store, whatever the number of subscriptions: one for calls, one for the feed (`_feed`),
so that a large read never delays a change. This file checks arguments and assembles the parts.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from runtime_config import errors
from runtime_config._coding import decode, encode
from runtime_config._etcd import messages
from runtime_config._etcd.calls import Calls
from runtime_config._etcd.channel import Channels
from runtime_config._etcd.endpoints import TLS, check_endpoints, connector
from runtime_config._etcd.identity import establish
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.reader import Reader
from runtime_config._etcd.records import Entry
from runtime_config._etcd.tokens import Tokens
from runtime_config._etcd.writer import ComparisonFailed, Writer
from runtime_config._etcd.writes import Expect, Put, Write, is_write_id
from runtime_config._feed.feed import Feed
from runtime_config._feed.inbox import Inbox
from runtime_config._following import Following
from runtime_config._monitor import Monitor
from runtime_config._numbers import revision as checked_revision
from runtime_config._numbers import seconds as checked_seconds
from runtime_config._numbers import shown
from runtime_config._resources import Resources
from runtime_config._updating import held, pause
from runtime_config.keys import Key, Section, Unset, check_key, key_named
from runtime_config.live import Live
from runtime_config.state import CLOSED, Counters, Handle, Health, State
from runtime_config.subscription import Subscription
from runtime_config.transaction import Transaction, expectation
from runtime_config.values import ABSENT, Absent, Snapshot, Values, Versioned

T = TypeVar("T")


# More methods than a class should have: it is the one object that users hold, and each method is one thing that they do
# with it. What they have in common is in `Reader`, `Writer`, `Following`, `Monitor` and `Resources`.
class ConfigStore:
    """Shared configuration below one root. Safe to use from any thread; open one per process and keep it.

    `endpoints` is `"host:port"` or a list of them; one is used at a time, the next when it fails. `root` is
    the path below which everything is stored. Roots are isolated from each other unless one lies inside the other: then
    `limit` below "/config/prod" and `prod.limit` below "/config" are the same key.

    `username` and `password`: both or neither. `tls`: a `TLS`, or True for the system's roots.
    `timeout`: seconds for every call without a timeout of its own. `patience`: for how many of them a call keeps trying
    while no server can be reached at all (default: all of them; 0 tries each endpoint once).
    `dead_after`: seconds of silence after which a connection is given up (at least 0.2). Half of that is spent
    waiting for an answer; the default of 20 costs a request every 10 s on a quiet store, and respects the limits of
    servers. `wait`: reach the server before returning (and create its identity, see `Deployment` in the
    README), or raise `Unavailable`, `AuthenticationFailed`, `PermissionDenied` within the timeout. With False the store
    connects in the background, see `wait_synced`. Every number of seconds may be at most a week.

    `close()` releases everything within a second, whatever the network does. A store that is garbage-collected is
    released too, with a `ResourceWarning`; subscriptions, live values and registered callbacks keep theirs open. It
    must not cross a fork: in the child every method raises Closed, except `close()`, which returns. Bad arguments
    raise ValueError or TypeError here.
    """

    # `runtime_config.aio` has its own words for these.
    _shown_as = "ConfigStore"
    _how_to_close = "call close(), or use 'with'"

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
        self._assemble(endpoints, root, username, password, tls, timeout, patience, dead_after, wait)
        try:
            self._open(self._timeout)
        except BaseException:
            self.close()
            raise

    def _assemble(
        self,
        endpoints: str | Sequence[str],
        root: str,
        username: str | None,
        password: str | None,
        tls: TLS | bool | None,
        timeout: float,
        patience: float | None,
        dead_after: float,
        wait: bool,
    ) -> None:
        """Check the arguments and make the parts. Nothing is connected, and no thread runs, before `_open`."""
        if (username is None) != (password is None):
            raise ValueError("give both username and password, or neither")
        for name, given in (("username", username), ("password", password)):
            if not isinstance(given, (str, type(None))):
                raise TypeError(f"{name} must be a str, not a {type(given).__name__}")
        if not isinstance(tls, (TLS, bool, type(None))):
            raise TypeError(f"tls must be a TLS(...), True or None, not a {type(tls).__name__}")
        encryption = TLS() if tls is True else tls or None
        addresses = check_endpoints(endpoints, encryption is not None)
        self._layout = Layout(root)
        self._timeout = checked_seconds("timeout", timeout)
        patience = self._timeout if patience is None else checked_seconds("patience", patience, least=0.0)
        dead_after = checked_seconds("dead_after", dead_after, least=0.2)
        connect = connector(encryption, dead_after)
        tokens = Tokens(username, password)
        self._monitor = Monitor()
        options: dict[str, Any] = {
            "timeout": self._timeout,
            "patience": patience,
            "probe": messages.read(self._layout.identity),
            "on_reply": self._monitor.contact,
        }
        self._channels = Channels(addresses, connect)
        self._calls = Calls(self._channels, tokens, **options)
        self._writer = Writer(self._calls, self._layout)
        self._reader = Reader(self._calls, self._layout, self._writer.saw)
        feed_channels = Channels(addresses, connect)
        feed_calls = Calls(feed_channels, tokens, **options)
        self._feed = Feed(feed_channels, feed_calls, self._layout, self._monitor, dead_after=dead_after)
        self._resources = Resources(self._channels, self._feed, self._monitor)
        self._following = Following(self._layout, self._reader, self._feed, self._monitor, self._resources)
        self._wait, self._opened, self._opening = wait, threading.Event(), threading.Lock()

    def _open(self, seconds: float) -> None:
        """Reach the server, if that was asked for, and start to follow it; once, whoever calls. Safe from any thread.

        Raises what the constructor raises; the store can then be opened by a later call.
        """
        if self._opened.is_set():
            return
        deadline = time.monotonic() + seconds
        if not self._opening.acquire(timeout=seconds):
            raise errors.Unavailable(f"the store is still being opened after {seconds:.2f} s")
        try:
            if self._opened.is_set():
                return
            self._resources.check_open()
            if self._wait:
                left = max(0.001, deadline - time.monotonic())
                self._writer.saw(establish(self._calls, self._reader, self._layout, left))
            # Started last, so that the first of a store's two connections is always that of its calls.
            self._feed.start()
            self._opened.set()
        finally:
            self._opening.release()

    # Reading

    def get(self, key: Key[T], *, timeout: float | None = None, stale_ok: bool = False) -> Versioned[T]:
        """The value of a key, or its default. The read is linearizable.

        With `stale_ok` any member answers from its own state, even one without a quorum.
        Raises KeyNotSet without value and default, DecodeError, Unavailable, DeadlineExceeded.
        """
        entry = self._reader.entry(check_key(key).name, self._limit(timeout), stale_ok=stale_ok)
        if entry is not None:
            return _versioned(key, entry)
        if isinstance(key.default, Unset):
            raise errors.KeyNotSet(f"{key.name!r} is not set, and it has no default")
        return Versioned(key.default, 0)

    def get_all(
        self, *targets: Key[Any] | Section, timeout: float | None = None, stale_ok: bool = False
    ) -> Snapshot:
        """Everything in a section (or several, or some keys), all as of one revision.

        Raises DecodeError naming the first key whose value cannot be decoded, Unavailable, DeadlineExceeded.
        """
        cover = self._following.cover(targets)
        entries, revision = self._following.listed(cover, self._limit(timeout), stale_ok=stale_ok)
        return Snapshot(
            Values({name: decode(key_named(name), entry.value) for name, entry in entries}), revision
        )

    # Writing

    def set(self, key: Key[T], value: T, *, timeout: float | None = None) -> Versioned[T]:
        """Set a key, whatever it held.

        Raises EncodeError, ValueTooLarge, StoreFull, Unavailable (certainly not applied), or OutcomeUnknown,
        which `settle` resolves.
        """
        return self._put(check_key(key), (), value, timeout)

    def compare_and_set(
        self, key: Key[T], expected: Versioned[T] | Absent, new: T, *, timeout: float | None = None
    ) -> Versioned[T]:
        """Set a key only if it still holds exactly the version that was read (`ABSENT`: only if it holds nothing).

        Repeated after a lost reply; a first attempt that was applied is recognised.
        Raises Conflict with what the key holds instead, and what `set` raises.
        """
        return self._put(check_key(key), (expectation(key, expected),), new, timeout)

    def _put(self, key: Key[T], expects: tuple[Expect, ...], value: T, timeout: float | None) -> Versioned[T]:
        write = Write.of(expects, [Put(key.name, encode(key, value))])
        revision, reply = self._write(write, [key], timeout)
        if reply is None:
            return Versioned(value, revision)
        made = messages.found(reply.responses[-1])
        if made is None:
            return Versioned(value, revision)
        return Versioned(value, revision, made.created_revision, made.version)

    def delete(self, key: Key[Any], *, timeout: float | None = None) -> bool:
        """Delete a key; True if it was there, else nothing changes, not even the revision. Raises what `set` raises."""
        write = Write.of((), [Put(check_key(key).name, None)], if_present=True)
        _, reply = self._write(write, [key], timeout)
        return bool(reply.succeeded)

    def update(self, key: Key[T], fn: Callable[[T], T], *, timeout: float | None = None) -> Versioned[T]:
        """Replace a value by what `fn` returns for it; no other writer's change is overwritten.

        `fn` gets the current value (or the default), and is called again whenever another writer was faster: it should
        have no side effects. Raises KeyNotSet when there is neither, Conflict when others were faster until
        the timeout was over, whatever `fn` raises, and what `set` raises.
        """
        deadline = time.monotonic() + self._limit(timeout)
        seen: Versioned[T] | Absent = self._current(key, timeout)
        tries = 0
        while True:
            value = fn(held(key, seen))
            try:
                return self.compare_and_set(key, seen, value, timeout=max(0.001, deadline - time.monotonic()))
            except errors.Conflict as conflict:
                if time.monotonic() >= deadline:
                    raise
                seen = conflict.current
            tries += 1
            time.sleep(pause(tries))

    def _current(self, key: Key[T], timeout: float | None) -> Versioned[T] | Absent:
        try:
            seen = self.get(key, timeout=timeout)
        except errors.KeyNotSet:
            return ABSENT
        return ABSENT if seen.is_default else seen

    def transaction(self, *, timeout: float | None = None) -> Transaction:
        """Several changes as one: `with store.transaction() as txn:`; see `Transaction`."""
        return Transaction(partial(self._commit, self._limit(timeout)))

    def _commit(self, timeout: float, keys: list[Key[Any]], expects: list[Expect], puts: list[Put]) -> int:
        revision, _ = self._write(Write.of(expects, puts), keys, timeout)
        return revision if puts else 0

    def _write(self, write: Write, expected: list[Key[Any]], timeout: float | None) -> tuple[int, Any]:
        try:
            return self._writer.write(write, self._limit(timeout))
        except ComparisonFailed as failed:
            key = expected[failed.index]
            now: Versioned[Any] | Absent = ABSENT if failed.entry is None else _versioned(key, failed.entry)
            raise errors.Conflict(
                f"{key.name!r} is not what was expected: it holds {now!r}", key=key.name, current=now
            ) from None

    def settle(self, error: errors.OutcomeUnknown, *, timeout: float | None = None) -> int | None:
        """Determine the outcome of a write that raised OutcomeUnknown: its revision if it was applied, else None.

        None is final: a copy of the write that is still in flight is void from now on.
        Raises Unavailable or DeadlineExceeded while no server answers, OutcomeUnknown when the store has compacted the
        history that is needed (minutes to hours later, depending on the server's configuration).
        """
        if not isinstance(error, errors.OutcomeUnknown):
            raise TypeError(f"settle needs the OutcomeUnknown that a write raised, not {error!r}")
        if not is_write_id(error.write_id):
            raise ValueError(
                f"settle needs an OutcomeUnknown that a write raised; this has no write id: {error!r}"
            )
        checked_revision("floor", error.floor)
        return self._writer.settle(error.write_id, error.floor, self._limit(timeout))

    # Following

    def subscribe(self, *targets: Key[Any] | Section, timeout: float | None = None) -> Subscription:
        """Follow keys and sections: a `Subscription`, whose first item is a `Snapshot`.

        The snapshot contains everything written before this call. While the store cannot be reached this waits for at
        most the timeout, and the snapshot follows as soon as possible; it never raises for a lost connection.
        """
        # As long as the subscription is referred to, so is this store: by `on_close`.
        return self._following.subscribe(targets, self._limit(timeout), on_close=self._forget)

    def _forget(self, inbox: Inbox) -> None:
        self._following.forget(inbox)

    def on_change(self, *targets_and_callback: Any, timeout: float | None = None) -> Handle:
        """`on_change(key, callback)`: call back with each item of a subscription, the `Snapshot` first.

        `key` may be a Section, or several arguments. Calls are made one at a time, in order, in a thread of their
        own: they may block, raise anything (logged and counted, see `Handle`) and use the store.
        `Handle.cancel()` ends them; until then the store stays open.
        """
        *targets, callback = targets_and_callback or (None,)
        if not callable(callback):
            raise TypeError(f"the last argument must be the callback, not {callback!r}")
        return self._following.call_back(targets, callback, self.subscribe(*targets, timeout=timeout))

    def live(self, key: Key[T], *, timeout: float | None = None) -> Live[T]:
        """A value that is kept up to date in the background; the same object for the same key.

        Waits like `subscribe` for its first value.
        """
        limit = self._limit(timeout)
        return self._following.live(check_key(key), limit, self.on_change)

    # State

    @property
    def state(self) -> State:
        """`CONNECTING`, `SYNCED`, `STALE` or `CLOSED`; the last also in a forked process."""
        return self._monitor.state if self._resources.owner.here else CLOSED

    @property
    def stale_since(self) -> float | None:
        """When the state became STALE, in seconds since the epoch; None unless it is.

        `time.time() - store.stale_since` is how long that has lasted, even if the wall clock was set meanwhile: the
        duration is measured with a monotonic clock, and converted to the wall clock when this is read.
        """
        return self._monitor.stale_since

    @property
    def last_error(self) -> Exception | None:
        """Why the store is not synced; None while it is."""
        return self._monitor.last_error if self._resources.owner.here else self._resources.owner.error()

    @property
    def revision(self) -> int:
        """The last revision that was delivered completely to all subscriptions."""
        return self._feed.sinks.revision

    @property
    def counters(self) -> Counters:
        """Numbers to export, as of now."""
        return self._monitor.counters

    def on_state(self, callback: Callable[[State], None]) -> Handle:
        """Call back with each new state, in a thread separate from the data, until the `Handle` is cancelled."""
        self._resources.check_open()
        if not callable(callback):
            raise TypeError(f"the argument must be the callback, not {shown(callback)}")
        return self._monitor.listen(callback, keep=self)

    def wait_synced(self, timeout: float | None = None) -> None:
        """Wait until the state is SYNCED. Raises DeadlineExceeded, or Closed."""
        self._monitor.wait_synced(self._limit(timeout))

    def wait_revision(self, revision: int, timeout: float | None = None) -> None:
        """Wait until everything up to `revision` was delivered to all subscriptions, such as one's own write.

        `revision` is that of a write, a `Versioned` or an item. Raises DeadlineExceeded, or Closed.
        """
        checked_revision("revision", revision)
        self._following.wait_revision(revision, self._limit(timeout))

    def health(self, timeout: float | None = None) -> Health:
        """Make one linearizable read, which only a working majority can answer. Never raises for its result."""
        self._resources.owner.check()
        began = time.monotonic()
        try:
            reply = self._reader.fetch(messages.read(self._layout.identity), self._limit(timeout))
        except errors.ConfigError as error:
            return Health(False, time.monotonic() - began, None, error)
        return Health(True, time.monotonic() - began, int(reply.header.revision), None)

    # Closing

    def close(self) -> None:
        """Release everything, within a second. Idempotent; allowed inside a callback, and in a forked process.

        Iterations of subscriptions end. A callback that does not return is left behind in its (daemon) thread.
        """
        self._resources.release()

    def __del__(self) -> None:
        resources: Resources | None = getattr(self, "_resources", None)  # none if the arguments were refused
        if resources is not None and not resources.closed and resources.owner.here:
            message = f"unclosed {self!r}: {self._how_to_close}"
            resources.release_in_background()
            if self._opened.is_set():
                warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def __enter__(self) -> ConfigStore:
        self._resources.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _limit(self, timeout: float | None) -> float:
        self._resources.check_open()
        return self._timeout if timeout is None else checked_seconds("timeout", timeout)

    def __repr__(self) -> str:
        return f"<{self._shown_as} {self._layout.root} at {', '.join(self._channels.endpoints)}: {self.state.value}>"


def _versioned(key: Key[T], entry: Entry) -> Versioned[T]:
    return Versioned(decode(key, entry.value), entry.revision, entry.created_revision, entry.version)
