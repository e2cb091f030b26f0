"""Dotted names to etcd keys and back. The only module that knows what an etcd key looks like.

    /config/prod/billing/limit       the key billing.limit below the root /config/prod
    /config/prod/~identity           a random name of this store, made once: reveals a replaced store
    /config/prod/.writes/7f          the id of the last write that fell into slot 7f (of 256)
    /config/prod/.fences/7f          touched by `settle`: voids writes of that slot that are still in flight

No segment of a name starts with `.` or `~`, so the last three never collide with a user's key. `.` sorts before and
`~` after letters and digits, so one range contains the keys and the identity and excludes the others, which
no subscriber needs. The range of a section always ends after a `/`, so that `app` never covers `app2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtime_config.keys import Key, Section, check_name

_ROOT = re.compile(r"(/[^/\x00]+)+\Z")


@dataclass(frozen=True)
class Range:
    """Half open, as in etcd: from `start` up to but without `end`."""

    start: bytes
    end: bytes

    def __contains__(self, raw: bytes) -> bool:
        return self.start <= raw < self.end


@dataclass(frozen=True)
class Layout:
    """Where everything of one root is stored.

    >>> at = Layout("/config/prod/")
    >>> at.raw("billing.limit"), at.name(b"/config/prod/billing/limit"), at.name(b"/config/prod/~identity")
    (b'/config/prod/billing/limit', 'billing.limit', None)
    """

    root: str

    def __post_init__(self) -> None:
        if not isinstance(self.root, str):
            raise TypeError(f"root must be a str like '/config/prod', not {self.root!r}")
        trimmed = self.root.rstrip("/")
        if not _ROOT.match(trimmed):
            raise ValueError(f"root must look like '/config/prod', not {self.root!r}")
        object.__setattr__(self, "root", trimmed)

    @property
    def whole(self) -> Range:
        """All keys below the root, and the identity."""
        return Range(f"{self.root}/0".encode(), f"{self.root}0".encode())

    @property
    def identity(self) -> bytes:
        return f"{self.root}/~identity".encode()

    def slot(self, write_id: str) -> bytes:
        return f"{self.root}/.writes/{write_id[:2]}".encode()

    def fence(self, write_id: str) -> bytes:
        return f"{self.root}/.fences/{write_id[:2]}".encode()

    def raw(self, name: str) -> bytes:
        return f"{self.root}/{name.replace('.', '/')}".encode()

    def name(self, raw: bytes) -> str | None:
        """The dotted name of a key in the store, or None if it is not one of this root's."""
        start = f"{self.root}/".encode()
        if not raw.startswith(start):
            return None
        try:
            tail = raw[len(start) :].decode("ascii")
            return None if "." in tail else check_name(tail.replace("/", "."))
        except ValueError:
            return None

    def range_of(self, target: Key[object] | Section) -> Range:
        raw = self.raw(target.name)
        return _below(raw + b"/") if isinstance(target, Section) else Range(raw, raw + b"\0")


def _below(prefix: bytes) -> Range:
    """All keys that start with a prefix which ends in `/`: raising that last byte by one gives the end."""
    return Range(prefix, prefix[:-1] + b"0")
