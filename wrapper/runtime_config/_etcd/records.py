"""What is read from the store, as plain data: no message class of gRPC or protobuf gets any further."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One key as a listing returns it."""

    key: bytes
    value: bytes
    revision: int
    created_revision: int
    version: int


@dataclass(frozen=True)
class RawChange:
    """One key's change as the store recorded it; `value` is None for a delete."""

    key: bytes
    value: bytes | None
    revision: int
    created_revision: int = 0
    version: int = 0

    def entry(self, value: bytes) -> Entry:
        """The key as a listing returns it after this change; `value` is that of the change, which is not None."""
        return Entry(self.key, value, self.revision, self.created_revision, self.version)


@dataclass(frozen=True)
class WatchReply:
    """One reply on a stream; `more` says that further fragments of it follow."""

    created: bool
    canceled: bool
    compact_revision: int
    reason: str
    changes: tuple[RawChange, ...]
    more: bool
