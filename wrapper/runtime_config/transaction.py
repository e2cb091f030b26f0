"""Several changes that happen together or not at all.

with store.transaction() as txn:
    txn.require(LIMIT, seen)          # a Versioned, or ABSENT
    txn.set(LIMIT, 200)
    txn.delete(OLD_LIMIT)
txn.revision
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from runtime_config._coding import encode
from runtime_config._etcd.writes import MAX_OPERATIONS, Expect, Put
from runtime_config._numbers import revision
from runtime_config.keys import Key, check_key
from runtime_config.values import Absent, Versioned

T = TypeVar("T")


def expectation(key: Key[T], expected: Versioned[T] | Absent) -> Expect:
    """What to compare; a default that was returned for a missing key expects it to be missing. Raises TypeError."""
    if isinstance(expected, Absent):
        return Expect(key.name, 0)
    if isinstance(expected, Versioned):
        return Expect(key.name, revision("expected.revision", expected.revision))
    raise TypeError(f"expected must be a Versioned (as get() returns) or ABSENT, not {expected!r}")


class Operations:
    """The requirements and changes of one transaction, which takes them inside its `with` block only.

    At most 128 operations (requirements, sets and deletes together), each key at most once among the changes:
    more is a `ValueError` at the call.
    """

    def __init__(self) -> None:
        self._keys: list[Key[Any]] = []
        self._expects: list[Expect] = []
        self._puts: list[Put] = []
        self._entered = self._over = False
        #: The revision of the commit; None before, and for a transaction without changes.
        self.revision: int | None = None

    def require(self, key: Key[T], expected: Versioned[T] | Absent) -> None:
        """Commit only if the key still holds exactly this version."""
        self._admit(check_key(key), [one.name for one in self._expects], "required")
        self._expects.append(expectation(key, expected))
        self._keys.append(key)

    def set(self, key: Key[T], value: T) -> None:
        """Set the key in this transaction. Raises EncodeError."""
        self._admit(check_key(key), [put.name for put in self._puts], "changed")
        self._puts.append(Put(key.name, encode(key, value)))

    def delete(self, key: Key[Any]) -> None:
        """Delete the key in this transaction, if it is there; committing makes a revision either way."""
        self._admit(check_key(key), [put.name for put in self._puts], "changed")
        self._puts.append(Put(key.name, None))

    def _admit(self, key: Key[Any], taken: list[str], what: str) -> None:
        if not self._entered or self._over:
            raise ValueError("a transaction takes operations only inside its 'with' block")
        if key.name in taken:
            raise ValueError(f"{key.name!r} is {what} twice in one transaction; name each key once")
        if len(self._expects) + len(self._puts) >= MAX_OPERATIONS:
            raise ValueError(
                f"a transaction holds at most {MAX_OPERATIONS} operations, and this would be one more"
            )

    def _enter(self) -> None:
        if self._entered:
            raise ValueError("a transaction can be used once; call store.transaction() again")
        self._entered = True

    def _leave(self, kind: type[BaseException] | None) -> bool:
        """No more operations; True if what there is has to be committed."""
        self._over = True
        return kind is None and bool(self._puts or self._expects)


class Transaction(Operations):
    """Collects requirements and changes; commits when its `with` block ends without an exception.

    At most 128 operations (requirements, sets and deletes together), each key at most once among the changes:
    more is a `ValueError` at the call. Leaving the block raises what `store.set` raises, and `Conflict` for a
    requirement that does not hold. An exception inside the block commits nothing.
    """

    def __init__(self, commit: Callable[[list[Key[Any]], list[Expect], list[Put]], int]) -> None:
        super().__init__()
        self._commit = commit

    def __enter__(self) -> Transaction:
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave(kind):
            self.revision = self._commit(self._keys, self._expects, self._puts) or None
