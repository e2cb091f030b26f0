"""The client under test, and the other writer: opened, called and closed with a bound around each call.

Every call of a client is made on a thread of the kit's (``calls.py``); whoever opens closes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_netfault.proof.calls import Call, Caller
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline, DidNotReturn, ask
from pytest_netfault.store import Delivery, OpenStore, Store

__all__ = [
    "ClientFailed",
    "ClientUnderTest",
    "ExternalClient",
    "Writer",
    "close_client",
    "failure_of",
    "open_client",
]

# How long a thread may take to end that has nothing left to do.
_JOIN_SECONDS = 0.05
# How often a client is opened that fails to open, if it fails later than this.
_ATTEMPTS, _SLOW_SECONDS = 3, 0.5
# How long the subscriber's thread may take to end if it is in no call.
_SUBSCRIBER_SECONDS = 5.0


class ExternalClient:
    """Base of clients that live outside this process, and may break down there without the network's help.

    A run of one that has failed proves nothing, whatever it had delivered before.
    """

    @property
    def failure(self) -> str | None:
        """Why it can no longer be believed, as one sentence; None while it works."""
        raise NotImplementedError

    @property
    def said(self) -> Sequence[tuple[float, str]]:
        """Lines for the timeline: ``time.monotonic()`` and the text."""
        raise NotImplementedError


class ClientFailed(RuntimeError):
    """A client outside this process has failed; the message is its `ExternalClient.failure`."""


def failure_of(store: object) -> str | None:
    """Why a client can no longer be believed; None if it works, or lives in this process."""
    return store.failure if isinstance(store, ExternalClient) else None


def said_by(store: object) -> Sequence[tuple[float, str]]:
    """What an external client has for the timeline: ``time.monotonic()`` and the text."""
    return tuple(store.said) if isinstance(store, ExternalClient) else ()


def open_client(
    caller: Caller, open_store: OpenStore, address: str, deadline: Deadline = NO_DEADLINE
) -> Store:
    """Open a client on the thread of ``caller``.

    Nothing is broken yet, so one that has tried for a while and failed was slow, as on a machine that is busy: it is
    opened again, so often as `_ATTEMPTS` says. What fails at once would fail again.

    Raises:
        TypeError: what was opened has not the methods of a Store.
        DidNotReturn: ``open_store`` did not return.
    """
    for left in reversed(range(_ATTEMPTS)):
        began = time.monotonic()
        try:
            store: Store = ask(caller, deadline, f"open_store({address!r})", open_store, address)
            break
        except (ClientFailed, DidNotReturn):
            raise
        except Exception:
            if not left or deadline.over or time.monotonic() - began < _SLOW_SECONDS:
                raise
    missing = [name for name in ("put", "delete", "subscribe", "close") if not hasattr(store, name)]
    if missing:
        raise TypeError(
            f"open_store must return a Store; {store!r} has no {' and no '.join(missing)} (see pytest_netfault.Store)"
        )
    return store


def close_client(store: Store, caller: Caller, timeout: float) -> bool:
    """Close a client; return whether it closed within ``timeout`` seconds."""
    # On a thread of its own: the client's other calls may hang until this very call ends them.
    closer = Caller("closer")
    call = closer.submit(store.close)
    in_time = call.wait(timeout)
    caller.close(_JOIN_SECONDS if in_time else 0.0)
    closer.close(_JOIN_SECONDS if in_time else 0.0)
    return in_time


class ClientUnderTest:
    """The client behind the link during one run: it subscribes on one thread and writes on another.

    Attributes:
        store: the client.
        caller: on whose thread it writes.
        subscription: the latest call of ``subscribe``, or None.
        failed: why it could not be opened, where that is a failure of an external client.
    """

    def __init__(self) -> None:
        self.store: Store | None = None
        self.caller = Caller("link writer")
        self.subscription: Call | None = None
        self.failed: str | None = None
        self._subscriber = Caller("subscriber")

    def open(self, open_store: OpenStore, address: str, deadline: Deadline) -> None:
        """Open it. An external client that fails on opening is opened no more; anything else is raised."""
        try:
            self.store = open_client(self.caller, open_store, address, deadline)
        except ClientFailed as error:
            self.failed = str(error)

    @property
    def failure(self) -> str | None:
        """Why it can no longer be believed, or None."""
        return self.failed or failure_of(self.store)

    @property
    def said(self) -> Sequence[tuple[float, str]]:
        """What an external client has for the timeline."""
        return said_by(self.store)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> Call:
        """Begin to subscribe."""
        assert self.store is not None
        self.subscription = self._subscriber.submit(self.store.subscribe, prefix, deliver)
        return self.subscription

    def close(self, settle: float, deadline: Deadline) -> bool:
        """Close it and end its threads; False if it was given all of ``settle`` and did not close."""
        in_time = True
        if self.store is None:
            self.caller.close()
        else:
            seconds = deadline.for_closing(settle)
            in_time = close_client(self.store, self.caller, seconds) or seconds < settle
        # A thread that is in no call ends at once; one that hangs in subscribe() is the client's.
        idle = self.subscription is None or self.subscription.done
        self._subscriber.close(_SUBSCRIBER_SECONDS if idle else 0.0)
        return in_time


@dataclass
class Writer:
    """The client that reaches the store directly. It outlives a run, so that opening it is paid for once."""

    open_store: OpenStore
    address: str
    deadline: Deadline = NO_DEADLINE
    store: Store = field(init=False)
    caller: Caller = field(init=False)
    _not_opened: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self.caller = Caller("direct writer")
        try:
            self.store = open_client(self.caller, self.open_store, self.address, self.deadline)
        except BaseException:
            self.caller.close()
            raise

    @property
    def failure(self) -> str | None:
        """Why it can no longer be believed, or None."""
        return self._not_opened or failure_of(self.store)

    def renew(self, timeout: float) -> None:
        """Open a new one: after a restart of the server the old one may fail writes for a second or more."""
        self.close(timeout)
        try:
            self._open()
            self._not_opened = None
        except ClientFailed as error:
            self._not_opened = str(error)

    def close(self, timeout: float) -> bool:
        """Close it; return whether it closed within ``timeout`` seconds, or what is left of them."""
        return close_client(self.store, self.caller, self.deadline.for_closing(timeout))
