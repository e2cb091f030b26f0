"""The client under test, as the proof kit sees it: four methods, and what its subscription delivers.

It may be any client of any store behind the :class:`Store` protocol. Each call of the callback that it was given at
``subscribe`` carries one :class:`Delivery`.

>>> Delivery(events=(Event("r17.a", "1", revision=5),))
Delivery(events=(Event('r17.a', '1', revision=5),))
>>> Delivery(bookmark=7)
Delivery(bookmark=7)
>>> Delivery(bookmark=7, error="gone")
Traceback (most recent call last):
    ...
ValueError: a Delivery carries exactly one of events, bookmark, resync and error, not bookmark and error
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pytest_netfault.common.printable import represented

__all__ = ["AsyncStore", "Delivery", "Event", "OpenStore", "Resync", "Store", "WriteRejected"]

# A repr is for logs and messages of a test that failed.
_LONGEST_REPR = 100_000


class WriteRejected(Exception):
    """Raised by ``put`` or ``delete`` of a client under test: the write was certainly not applied.

    Every other exception out of a write means that its outcome is unknown.
    """

    __module__ = "pytest_netfault"  # where users import it from, and short in a summary


def _revision(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {represented(value)}")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {represented(value)}")


@dataclass(frozen=True, repr=False)
class Event:
    """One change of one key, as it was delivered to the subscriber.

    Attributes:
        key: the dotted key.
        value: the new value, or None for a delete.
        revision: the store's revision of the change, or None if the client has none.
    """

    key: str
    value: str | None
    revision: int | None = None

    def __post_init__(self) -> None:
        _text("key", self.key)
        if self.value is not None:
            _text("value", self.value)
        if self.revision is not None:
            _revision("revision", self.revision)

    def __repr__(self) -> str:
        revision = "" if self.revision is None else f", revision={represented(self.revision)}"
        return f"Event({self.key!r}, {self.value!r}{revision})"


@dataclass(frozen=True)
class Resync:
    """A full snapshot, delivered after a gap that could not be filled, or at the start.

    Attributes:
        revision: the store's revision that the snapshot shows, or None if the client has none.
        kvs: every key of the subscription that exists at that revision, with its value.
    """

    revision: int | None
    kvs: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.revision is not None:
            _revision("revision", self.revision)
        if not isinstance(self.kvs, Mapping):
            raise TypeError(f"kvs must be a mapping of keys to values, not {represented(self.kvs)}")
        for key, value in self.kvs.items():
            _text("a key of kvs", key)
            _text(f"kvs[{key!r}]", value)
        object.__setattr__(self, "kvs", dict(self.kvs))


@dataclass(frozen=True, repr=False)
class Delivery:
    """What one call of the subscriber's callback carried: exactly one of the four.

    Attributes:
        events: changes that were delivered together.
        bookmark: "everything up to this revision was delivered".
        resync: a full snapshot.
        error: the subscriber was notified that it can no longer be served.
    """

    events: tuple[Event, ...] | None = None
    bookmark: int | None = None
    resync: Resync | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        given = [
            name for name in ("events", "bookmark", "resync", "error") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                "a Delivery carries exactly one of events, bookmark, resync and error, not "
                + (" and ".join(given) or "none of them")
            )
        events: object = self.events
        if events is not None:
            if isinstance(events, (str, bytes)) or not isinstance(events, Iterable):
                raise TypeError(f"events must be a tuple of Event objects, not {represented(events)}")
            object.__setattr__(self, "events", tuple(events))
            for event in self.events or ():
                if not isinstance(event, Event):
                    raise TypeError(f"events must be Event objects, not {represented(event)}")
        if self.bookmark is not None:
            _revision("bookmark", self.bookmark)
        if self.resync is not None and not isinstance(self.resync, Resync):
            raise TypeError(f"resync must be a Resync, not {represented(self.resync)}")
        if self.error is not None:
            _text("error", self.error)

    def __repr__(self) -> str:
        for name in ("events", "bookmark", "resync", "error"):
            if getattr(self, name) is not None:
                return f"Delivery({name}={represented(getattr(self, name), limit=_LONGEST_REPR)})"
        raise AssertionError("a Delivery carries one of the four")


@runtime_checkable
class Store(Protocol):
    """What the kit needs of a client under test. Every call is made from a thread of the kit.

    Two more methods are used where the client has them:

    * ``put_many(changes: Mapping[str, str | None]) -> None``: all of these in one transaction; None deletes.
    * ``decode(key: bytes, value: bytes | None) -> tuple[str, str | None] | None``: the client's own layout of
      a stored entry; None for an entry that is not one of ours. Without it keys and values are UTF-8.
    """

    def put(self, key: str, value: str) -> None:
        """Write one key; return once the store has acknowledged it."""

    def delete(self, key: str) -> None:
        """Delete one key; deleting a key that is not there is no error."""

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        """Deliver every later change below ``prefix``; return once the start is fixed."""

    def close(self) -> None:
        """End everything that the client opened, also in a black hole."""


class AsyncStore(Protocol):
    """A client under test whose methods are coroutine functions; what they do is that of :class:`Store`.

    They are awaited on one asyncio loop of the kit, which serves the whole proof. Tasks that the client leaves
    running when it has been closed are cancelled, and a :class:`pytest_netfault.verify.StoreLeftTasks` warning names
    them.
    """

    async def put(self, key: str, value: str) -> None:
        """See :meth:`Store.put`."""

    async def delete(self, key: str) -> None:
        """See :meth:`Store.delete`."""

    async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        """See :meth:`Store.subscribe`; ``deliver`` is a plain function."""

    async def close(self) -> None:
        """See :meth:`Store.close`."""


class OpenStore(Protocol):
    """How the kit opens a client: called with ``"host:port"`` of a link or of the server.

    It may be a coroutine function, and its client a :class:`Store` or an :class:`AsyncStore`.

    Nothing is broken when it is called. One that raises after half a second or more was slow, as on a busy machine,
    and is called again, twice at most; what it raises sooner ends the proof.

    An attribute ``rejected`` (a class of exceptions, or a tuple of them) names exceptions which mean, like
    :class:`WriteRejected`, that a write was certainly not applied.
    """

    def __call__(self, address: str, /) -> Store | AsyncStore | Awaitable[Store | AsyncStore]:
        """Open a client that connects to this address."""
        ...
