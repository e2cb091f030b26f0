"""The store: what a service opens once and keeps.

    with ConfigStore("127.0.0.1:2379", root="/config/prod") as store:
        store.get(LIMIT).value

Two connections serve a store, whatever the number of subscriptions: one for calls, one for the feed (`_feed`),
so that a large read never holds up a change. This file only checks arguments, and puts the parts together.
"""

from __future__ import annotations

import random
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from runtime_config import _messages, errors
from runtime_config._calls import CallFailed, Calls, Tokens
from runtime_config._decode import decode, encode
from runtime_config._ending import Ending
from runtime_config._feed import Feed
from runtime_config._identity import LEFT, identify
from runtime_config._layout import Layout
from runtime_config._link import TLS, Link, check_endpoints, connector
from runtime_config._listing import list_range
from runtime_config._messages import Entry
from runtime_config._numbers import revision as checked_revision
from runtime_config._numbers import seconds as checked_seconds
from runtime_config._numbers import shown
from runtime_config._sink import Cover, Sink
from runtime_config._status import final_error
from runtime_config._writer import Lost, Writer
from runtime_config._writes import Expect, Put, Write, is_write_id
from runtime_config.keys import Key, Section, Unset, check_key, key_named
from runtime_config.live import Live
from runtime_config.state import CLOSED, Board, Counters, Handle, Health, State, log
from runtime_config.subscription import Subscription, deliver_in_thread
from runtime_config.transaction import Transaction, expectation
from runtime_config.values import ABSENT, Absent, Snapshot, Values, Versioned

T = TypeVar("T")

# A revision that does not come through the stream within this time may belong to a write outside the root.
_ELSEWHERE = 0.2


class ConfigStore:
    """Shared configuration below one root. Safe to use from any thread; open one per process and keep it.

    `endpoints` is `"host:port"` or a list of them; one is used at a time, the next when it fails. `root` is
    the path that everything lives under. Roots see nothing of each other unless one lies inside the other: then
    `limit` below "/config/prod" and `prod.limit` below "/config" are the same key.

    `username` and `password`: both or neither. `tls`: a `TLS`, or True for the system's roots.
    `timeout`: seconds for every call that is not told another. `patience`: for how many of them a call keeps trying
    while no server can be reached at all (default: all of them; 0 tries each endpoint once).
    `dead_after`: seconds of silence after which a link is given up (at least 0.2). Half of that is spent
    waiting for an answer; the default of 20 costs a request every 10 s on a quiet store, and keeps below what
    servers allow. `wait`: reach the server before returning (and leave it with its identity, see `Deployment` in the
    README), or raise `Unavailable`, `AuthenticationFailed`, `PermissionDenied` within the timeout. With False the store
    connects in the background, see `wait_synced`. Every number of seconds may be at most a week.

    `close()` ends everything within a second, whatever the network does. A store that nobody refers to any more ends
    too, with a `ResourceWarning`; subscriptions, live values and registered callbacks refer to theirs. A store must
    not cross a fork: in the child every method raises Closed, except `close()`, which returns. Bad arguments
    are ValueError or TypeError here.
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
        self._board = Board()
        options: dict[str, Any] = {
            "timeout": self._timeout,
            "patience": patience,
            "probe": _messages.read(self._layout.identity),
            "contact": self._board.contact,
        }
        self._link = Link(addresses, connect)
        self._calls = Calls(self._link, tokens, **options)
        self._writer = Writer(self._calls, self._layout)
        feed_link = Link(addresses, connect)
        self._feed = Feed(
            feed_link, Calls(feed_link, tokens, **options), self._layout, self._board, dead_after=dead_after
        )
        self._lock = threading.Lock()
        self._lives: dict[str, Live[Any]] = {}
        self._ending = Ending(self._link, self._feed, self._board)
        if wait:
            try:
                self._greet()
            except BaseException:
                self.close()
                raise
        # Behind it, so that the first of a store's two connections is always that of its calls.
        self._feed.start()

    def _greet(self) -> None:
        """Reach the server, and give it an identity: made later, it would be a revision between those of our writes."""

        deadline = time.monotonic() + self._timeout

        def left() -> float:
            return max(0.001, deadline - time.monotonic())

        def create(request: Any) -> bool:
            try:
                self._calls.call("Txn", request, kind="read", timeout=left())
            except LEFT as error:
                log.info("the root has no identity yet: %s", error)
                return False
            return True

        _, revision = identify(self._layout, lambda request: self._read(request, left()), create)
        self._writer.saw(revision)

    # Reading

    def get(self, key: Key[T], *, timeout: float | None = None, stale_ok: bool = False) -> Versioned[T]:
        """The value of a key, as the whole cluster agrees on it; or its default.

        With `stale_ok` any member answers from what it has, also one without a quorum.
        Raises KeyNotSet without value and default, DecodeError, Unavailable, DeadlineExceeded.
        """
        request = _messages.read(self._layout.raw(check_key(key).name), stale_ok=stale_ok)
        reply = self._read(request, timeout, leader=not stale_ok)
        if reply.kvs:
            return _versioned(key, _messages.entry(reply.kvs[0]))
        if isinstance(key.default, Unset):
            raise errors.KeyNotSet(f"{key.name!r} is not set, and it has no default")
        return Versioned(key.default, 0)

    def get_all(
        self, *targets: Key[Any] | Section, timeout: float | None = None, stale_ok: bool = False
    ) -> Snapshot:
        """Everything in a section (or several, or some keys), all as of one revision.

        Raises DecodeError naming the first key whose value cannot be decoded, Unavailable, DeadlineExceeded.
        """
        entries, revision = self._list(Cover.of(targets, self._layout), timeout, stale_ok=stale_ok)
        return Snapshot(
            Values({name: decode(key_named(name), entry.value) for name, entry in entries}), revision
        )

    def _list(
        self, cover: Cover, timeout: float | None, *, stale_ok: bool = False
    ) -> tuple[list[tuple[str, Entry]], int]:
        deadline = time.monotonic() + self._limit(timeout)
        entries, revision = list_range(
            lambda request: self._calls.call(
                "Range",
                request,
                kind="read",
                timeout=max(0.001, deadline - time.monotonic()),
                leader=not stale_ok,
            ),
            cover.span,
            self._layout,
            stale_ok=stale_ok,
        )
        if not stale_ok:
            self._writer.saw(revision)
        return [(name, entry) for name, entry in entries if name in cover], revision

    def _read(self, request: Any, timeout: float | None, *, leader: bool = True) -> Any:
        try:
            return self._calls.call(
                "Range", request, kind="read", timeout=self._limit(timeout), leader=leader
            )
        except CallFailed as failed:
            raise final_error(failed.code, failed.details) from failed

    # Writing

    def set(self, key: Key[T], value: T, *, timeout: float | None = None) -> Versioned[T]:
        """Set a key, whatever it held.

        Raises EncodeError, ValueTooLarge, StoreFull, Unavailable (certainly not applied), or OutcomeUnknown,
        which you can hand to `settle`.
        """
        return self._put(check_key(key), (), value, timeout)

    def compare_and_set(
        self, key: Key[T], expected: Versioned[T] | Absent, new: T, *, timeout: float | None = None
    ) -> Versioned[T]:
        """Set a key only if it still holds exactly the version that was read (`ABSENT`: only if it holds nothing).

        Repeated after a lost reply, and recognises a first try that had been applied.
        Raises Conflict with what the key holds instead, and what `set` raises.
        """
        return self._put(check_key(key), (expectation(key, expected),), new, timeout)

    def _put(self, key: Key[T], expects: tuple[Expect, ...], value: T, timeout: float | None) -> Versioned[T]:
        write = Write.of(expects, [Put(key.name, encode(key, value))])
        revision, reply = self._write(write, [key], timeout)
        if reply is None:
            return Versioned(value, revision)
        made = _messages.found(reply.responses[-1])
        if made is None:
            return Versioned(value, revision)
        return Versioned(value, revision, made.created_revision, made.version)

    def delete(self, key: Key[Any], *, timeout: float | None = None) -> bool:
        """Delete a key; True if it was there, else nothing changes, not even the revision. Raises what `set` raises."""
        write = Write.of((), [Put(check_key(key).name, None)], if_present=True)
        _, reply = self._write(write, [key], timeout)
        return bool(reply.succeeded)

    def update(self, key: Key[T], fn: Callable[[T], T], *, timeout: float | None = None) -> Versioned[T]:
        """Replace a value by what `fn` makes of it; no other writer's change is overwritten.

        `fn` gets the present value (or the default), and is called again whenever somebody else was faster: it should
        have no side effects. Raises KeyNotSet when there is neither, Conflict when others were faster until
        the timeout was over, whatever `fn` raises, and what `set` raises.
        """
        deadline = time.monotonic() + self._limit(timeout)
        seen: Versioned[T] | Absent = self._present(key, timeout)
        tries = 0
        while True:
            if isinstance(seen, Absent):
                if isinstance(key.default, Unset):
                    raise errors.KeyNotSet(f"{key.name!r} is not set, and it has no default to update")
                value = key.default
            else:
                value = seen.value
            left = deadline - time.monotonic()
            try:
                return self.compare_and_set(key, seen, fn(value), timeout=max(0.001, left))
            except errors.Conflict as conflict:
                if time.monotonic() >= deadline:
                    raise
                seen = conflict.current
            tries += 1
            # Writers that collide spread out, so that each gets its turn.
            time.sleep(random.random() * min(0.05, 0.002 * 2 ** min(tries, 8)))

    def _present(self, key: Key[T], timeout: float | None) -> Versioned[T] | Absent:
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
        except Lost as lost:
            key = expected[lost.at]
            now: Versioned[Any] | Absent = ABSENT if lost.entry is None else _versioned(key, lost.entry)
            raise errors.Conflict(
                f"{key.name!r} is not what was expected: it holds {now!r}", key=key.name, current=now
            ) from None

    def settle(self, error: errors.OutcomeUnknown, *, timeout: float | None = None) -> int | None:
        """Find out what became of a write that raised OutcomeUnknown: its revision if it was applied, else None.

        None is final: a copy of the write that is still under way somewhere is void from now on.
        Raises Unavailable or DeadlineExceeded while no server answers, OutcomeUnknown when the store has dropped the
        history that would tell (minutes to hours later, as the server is set up).
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
        most the timeout, and the snapshot comes as soon as it can be had; it never raises for a lost connection.
        """
        limit = self._limit(timeout)
        subscription = Subscription(
            Cover.of(targets, self._layout),
            on_close=self._forget,
            on_overflow=partial(self._board.count, "overflows"),
        )
        self._ending.add(subscription)
        self._join(subscription, limit)
        return subscription

    def _join(self, sink: Sink, seconds: float) -> None:
        """Start a sink here and now if the server answers in time; otherwise the feed will."""
        self._feed.add(sink)
        deadline = time.monotonic() + seconds
        if self._feed.wait_positioned(seconds):
            try:
                while not sink.joined:
                    entries, revision = self._list(sink.cover, max(0.001, deadline - time.monotonic()))
                    sink.join(entries, revision)
                return
            except errors.ConfigError as error:
                log.info("the subscription starts later: %s", error)
        self._feed.again()

    def _forget(self, subscription: Subscription) -> None:
        self._feed.remove(subscription)
        self._ending.forget(subscription)

    def on_change(self, *targets_and_callback: Any, timeout: float | None = None) -> Handle:
        """`on_change(key, callback)`: call back with each item of a subscription, the `Snapshot` first.

        `key` may be a Section, or several arguments. Calls come one at a time, in order, in a thread of their
        own: they may block, raise whatever they like (logged and counted, see `Handle`) and use the store.
        `Handle.cancel()` ends it; until then the store stays open.
        """
        *targets, callback = targets_and_callback or (None,)
        if not callable(callback):
            raise TypeError(f"the last argument must be the callback, not {callback!r}")
        subscription = self.subscribe(*targets, timeout=timeout)
        handle = Handle(subscription.close)

        def on_error(_: BaseException) -> None:
            self._board.count("callback_errors")
            log.exception("the callback for %s raised", ", ".join(shown(target) for target in targets))

        def on_end(error: BaseException) -> None:
            handle.error = error
            log.error("no more changes of %s: %s", ", ".join(shown(target) for target in targets), error)

        self._ending.wait_for(deliver_in_thread(subscription, callback, on_error, on_end))
        return handle

    def live(self, key: Key[T], *, timeout: float | None = None) -> Live[T]:
        """A value that is kept up to date in the background; the same object for the same key.

        Waits like `subscribe` for its first value.
        """
        limit = self._limit(timeout)
        with self._lock:
            found = self._lives.get(check_key(key).name)
            if found is None:
                found = Live(
                    key,
                    Cover.of([key], self._layout),
                    silence=lambda: self._board.silence,
                    on_change=self.on_change,
                )
                self._lives[key.name] = found
                fresh = True
            else:
                fresh = False
        if fresh:
            self._join(found, limit)
        return found

    # How it is doing

    @property
    def state(self) -> State:
        """`CONNECTING`, `SYNCED`, `STALE` or `CLOSED`; the last also in a process that was forked."""
        return self._board.state if self._ending.owner.here else CLOSED

    @property
    def stale_since(self) -> float | None:
        """When the state became STALE, in seconds since the epoch; None unless it is.

        `time.time() - store.stale_since` is how long that lasts, also when the wall clock was set in between: the
        duration is measured with another clock, and put into the terms of the wall clock when this is read.
        """
        return self._board.stale_since

    @property
    def last_error(self) -> Exception | None:
        """Why the store is not synced; None while it is."""
        return self._board.last_error if self._ending.owner.here else self._ending.owner.error()

    @property
    def revision(self) -> int:
        """The last revision that was delivered whole to all subscriptions."""
        return self._feed.revision

    @property
    def counters(self) -> Counters:
        """Numbers to export, as of now."""
        return self._board.counters

    def on_state(self, callback: Callable[[State], None]) -> Handle:
        """Call back with each new state, in a thread apart from the data, until the `Handle` is cancelled."""
        self._ending.check_open()
        if not callable(callback):
            raise TypeError(f"the argument must be the callback, not {shown(callback)}")
        return self._board.listen(callback, keep=self)

    def wait_synced(self, timeout: float | None = None) -> None:
        """Wait until the state is SYNCED. Raises DeadlineExceeded, or Closed."""
        self._board.wait_synced(self._limit(timeout))

    def wait_revision(self, revision: int, timeout: float | None = None) -> None:
        """Wait until all subscriptions were handed everything up to `revision`: to see one's own write in them.

        `revision` is one that a write, a `Versioned` or an item carried. Raises DeadlineExceeded, or Closed.
        """
        checked_revision("revision", revision)
        seconds = self._limit(timeout)
        deadline = time.monotonic() + seconds
        while not self._feed.wait_revision(revision, min(_ELSEWHERE, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise errors.DeadlineExceeded(
                    f"revision {revision} was not delivered within {seconds:.2f} s; the last one is {self.revision}"
                )
            if self._nothing_between(revision, deadline):
                return
        if self.state is CLOSED and self.revision < revision:
            raise errors.Closed("the store is closed")

    def _nothing_between(self, revision: int, deadline: float) -> bool:
        """True if the root was not changed between what was delivered and `revision`: it was a write elsewhere."""
        try:
            audit, newest = self._feed.listed(
                lambda request: self._calls.call(
                    "Range", request, kind="read", timeout=max(0.001, deadline - time.monotonic())
                )
            )
        except errors.ConfigError:
            return False
        return audit.revision >= revision and newest <= self.revision and not self._feed.missing(audit)

    def health(self, timeout: float | None = None) -> Health:
        """Ask the cluster something that only a working majority can answer. Never raises for what it finds."""
        self._ending.owner.check()
        began = time.monotonic()
        try:
            reply = self._read(_messages.read(self._layout.identity), timeout)
        except errors.ConfigError as error:
            return Health(False, time.monotonic() - began, None, error)
        return Health(True, time.monotonic() - began, int(reply.header.revision), None)

    # Ending

    def close(self) -> None:
        """Release everything, within a second. Idempotent; allowed inside a callback, and in a process that was forked.

        Iterations of subscriptions end. A callback that does not return is left behind in its (daemon) thread.
        """
        self._ending.end()

    def __del__(self) -> None:
        ending: Ending | None = getattr(self, "_ending", None)  # none if the arguments were refused
        if ending is not None and not ending.closed and ending.owner.here:
            message = f"unclosed {self!r}: call close(), or use 'with'"
            ending.end_in_background()
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def __enter__(self) -> ConfigStore:
        self._ending.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _limit(self, timeout: float | None) -> float:
        self._ending.check_open()
        return self._timeout if timeout is None else checked_seconds("timeout", timeout)

    def __repr__(self) -> str:
        return f"<ConfigStore {self._layout.root} at {', '.join(self._link.endpoints)}: {self.state.value}>"


def _versioned(key: Key[T], entry: Entry) -> Versioned[T]:
    return Versioned(decode(key, entry.value), entry.revision, entry.created_revision, entry.version)
