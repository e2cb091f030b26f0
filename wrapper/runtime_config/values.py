"""What reads return and subscriptions deliver: values with their versions, and items. Frozen data.

A revision counts the transactions of the whole store: it rises by one with each, so it orders everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar, overload

from runtime_config.keys import Key, Unset

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
D = TypeVar("D")

Reason = Literal["compacted", "store_replaced", "overflow"]


class Absent:
    """The type of `ABSENT`: the key holds nothing."""

    _only: Absent | None = None

    def __new__(cls) -> Absent:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


#: The key holds nothing. Falsy; the only instance of its type.
ABSENT: Final = Absent()


@dataclass(frozen=True)
class Versioned(Generic[T_co]):
    """A value and its place in the store's history. Equal if value and revision are.

    `revision` is that of the last write of this key, `created_revision` that of its first since it was last deleted,
    `version` counts the writes since then. A default returned for a missing key has 0 in all three.
    """

    value: T_co
    revision: int
    created_revision: int = field(default=0, compare=False)
    version: int = field(default=0, compare=False)

    @property
    def is_default(self) -> bool:
        """True if the store holds nothing and this is the key's default."""
        return self.version == 0


class Values(Mapping[str, Any]):
    """Values by name. Look up with a `Key` to get its type and, where nothing is stored, its default; with a `str` to
    get just what is stored. Iterating yields dotted names. Compares equal to a `dict` keyed by either.

    >>> values = Values({"billing.limit": 5})
    >>> values["billing.limit"], values[Key("billing.limit", int)], values[Key("billing.rate", float, default=0.5)]
    (5, 5, 0.5)
    """

    __slots__ = ("_held",)

    def __init__(self, held: Mapping[str, Any]) -> None:
        self._held = dict(held)

    @overload
    def __getitem__(self, key: Key[T], /) -> T: ...
    @overload
    def __getitem__(self, key: str, /) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any:
        name = key.name if isinstance(key, Key) else key
        if name in self._held or not isinstance(key, Key) or isinstance(key.default, Unset):
            return self._held[name]
        return key.default

    def __contains__(self, key: object) -> bool:
        return (key.name if isinstance(key, Key) else key) in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"Values({self._held!r})"


@dataclass(frozen=True)
class Snapshot:
    """Everything the subscription (or `get_all`) covers, as it was at `revision`."""

    values: Values
    revision: int


@dataclass(frozen=True)
class Updated(Generic[T_co]):
    """`key` now holds `new`. `previous` is what this subscriber last saw there, or `ABSENT`."""

    key: Key[Any]
    new: T_co
    previous: T_co | Absent


@dataclass(frozen=True)
class Deleted(Generic[T_co]):
    """`key` was deleted. `previous` is what this subscriber last saw there, or `ABSENT`."""

    key: Key[Any]
    previous: T_co | Absent


Change = Updated[Any] | Deleted[Any]


@dataclass(frozen=True)
class Changes:
    """What one transaction changed in the subscribed keys, complete and in its order."""

    revision: int
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Resynced:
    """The changes between `after_revision` and `revision` can no longer be delivered one by one; this is the state now.

    `reason` is `compacted` (the store has dropped that part of its history), `store_replaced` (it was wiped or
    restored from elsewhere) or `overflow` (this subscriber was too slow). `values` is everything as of
    `revision`; `changes` the difference to what this subscriber received last, with vanished keys as `Deleted`.
    """

    reason: Reason
    values: Values
    changes: tuple[Change, ...]
    after_revision: int
    revision: int


@dataclass(frozen=True)
class Undecodable:
    """The stored bytes are not a value of the key's type. The last good value stays in force for this subscriber."""

    key: Key[Any]
    raw: bytes
    error: Exception
    revision: int


#: Everything that a subscription can deliver.
Item = Snapshot | Changes | Resynced | Undecodable
