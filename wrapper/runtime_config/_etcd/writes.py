"""What a write sends, and what its reply means. Pure.

Every write is one transaction with two additions, so that its outcome can be determined after a lost reply:

* it puts its random **write id** into one of 256 slot keys (`<root>/.writes/7f`). The history of a slot is a log of
  ids. So values stay as a person would type them, and a delete, which leaves no value, is recorded as well;
* it is void if the **fence** of that slot was touched after the latest revision that the writer had seen.
  `settle` touches the fence first and then reads the slot: what is not in the log by then can never get in.

Slots rather than a key for each write keep the key space bounded; 256 of them keep the logs short. Wrapping values
in an envelope would have been simpler and was rejected: `etcdctl` and services in other languages read and write
these keys too.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime_config._etcd import messages
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.records import Entry

# The server's limit (`--max-txn-ops`), for comparisons and for operations each. The two kinds in a user's
# transaction count together against it, so that the additions above always fit.
MAX_OPERATIONS = 128


@dataclass(frozen=True)
class Expect:
    """What a key must hold: `revision` is that of its last write, 0 for nothing."""

    name: str
    revision: int


@dataclass(frozen=True)
class Put:
    """Put `raw`, or delete if it is None."""

    name: str
    raw: bytes | None


@dataclass(frozen=True)
class Write:
    """One write: its comparisons, its operations, and the id by which its outcome can be found.

    With `if_present` it is void unless the key that it changes holds something: deleting an absent key changes nothing,
    not even the revision. Unlike an `Expect` this names no version, so such a write must not be repeated.
    """

    expects: tuple[Expect, ...]
    puts: tuple[Put, ...]
    write_id: str
    if_present: bool = False

    @classmethod
    def of(cls, expects: Sequence[Expect], puts: Sequence[Put], *, if_present: bool = False) -> Write:
        return cls(tuple(expects), tuple(puts), secrets.token_hex(16), if_present)

    def request(self, layout: Layout, floor: int) -> Any:
        """The transaction. `floor` is a revision that the store had reached when this write began."""
        txn = messages.new_transaction()
        for expect in self.expects:
            key = layout.raw(expect.name)
            messages.add_revision_is(txn.compare, key, expect.revision)
            messages.add_read(txn.failure, key)
        if not self.puts:
            return txn
        fence = layout.fence(self.write_id)
        messages.add_revision_at_most(txn.compare, fence, floor)
        messages.add_read(txn.failure, fence)
        if self.if_present:
            key = layout.raw(self.puts[0].name)
            messages.add_present(txn.compare, key)
            messages.add_read(txn.failure, key, keys_only=True)
        parts = [txn.success]
        if len(self.puts) + 1 > MAX_OPERATIONS:
            # The limit applies to each level, less what is on the levels above; halves are far below it.
            parts = [messages.add_nested(txn.success), messages.add_nested(txn.success)]
        for number, put in enumerate(self.puts):
            key = layout.raw(put.name)
            operations = parts[number * len(parts) // len(self.puts)]
            if put.raw is None:
                messages.add_delete(operations, key)
            else:
                messages.add_put(operations, key, put.raw)
        messages.add_put(txn.success, layout.slot(self.write_id), self.write_id.encode())
        if len(self.puts) == 1 and put.raw is not None:
            # So that `set` can return the version; without the value, which is known.
            messages.add_read(txn.success, key, keys_only=True)
        return txn


def is_write_id(text: object) -> bool:
    """True for an id as `Write.of` makes them.

    >>> is_write_id(Write.of([], []).write_id), is_write_id("")
    (True, False)
    """
    return isinstance(text, str) and len(text) == 32 and set(text) <= set("0123456789abcdef")


def current(write: Write, reply: Any) -> list[Entry | None]:
    """What the expected keys hold, from the reply to a transaction that did not succeed."""
    return [messages.found(response) for response in reply.responses[: len(write.expects)]]


def found_absent(write: Write, reply: Any) -> bool:
    """True if the reply to a write that did not succeed says that there was nothing to change."""
    return write.if_present and messages.found(reply.responses[-1]) is None


def first_broken(write: Write, held: Sequence[Entry | None]) -> int | None:
    """The index of the first expectation that does not hold, None if all do.

    >>> write = Write((Expect("a", 3), Expect("b", 0)), (), "00")
    >>> first_broken(write, [Entry(b"/a", b"", 3, 3, 1), Entry(b"/b", b"", 9, 9, 1)])
    1
    >>> first_broken(write, [Entry(b"/a", b"", 3, 3, 1), None]) is None
    True
    """
    for at, (expect, entry) in enumerate(zip(write.expects, held, strict=True)):
        if (0 if entry is None else entry.revision) != expect.revision:
            return at
    return None
