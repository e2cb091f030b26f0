"""What can go wrong, classified by what a caller may do next.

The question after a failed write is always "was it applied?", so the classes answer that first:

* certainly not applied: `Unavailable`, `Conflict`, `ValueTooLarge`, `StoreFull`, `EncodeError`, `PermissionDenied`,
  `AuthenticationFailed`, `Closed`;
* not known yet: `OutcomeUnknown`, and nothing else. `ConfigStore.settle` determines it later.

A wrong argument is a `ValueError` or `TypeError` at the call, never one of these.
"""

from __future__ import annotations

from typing import Any


class ConfigError(Exception):
    """Base of everything this package raises on purpose."""


class Unavailable(ConfigError):
    """No server could be reached. A write that raises this was certainly not applied; it can be retried."""


class DeadlineExceeded(ConfigError):
    """A read, or a `wait_*`, did not finish in time. Nothing was changed."""


class OutcomeUnknown(ConfigError):
    """A write was sent, and no reply came back: it may have been applied, or may still be.

    `write_id` identifies the write, `key` is the dotted name of its (first) key, and `floor` a revision from
    before it. Pass the exception to `ConfigStore.settle` once a server can be reached: it determines whether the
    write was applied, and ensures that it is not applied later. Do not just repeat the write: that could
    overwrite a newer value.
    """

    def __init__(self, message: str, *, key: str = "", write_id: str = "", floor: int = 0) -> None:
        super().__init__(message)
        self.key = key
        self.write_id = write_id
        self.floor = floor


class Conflict(ConfigError):
    """The key does not hold what was expected, so nothing was written.

    `current` is what it holds (a `Versioned`, or `ABSENT`), read atomically with the comparison.
    """

    def __init__(self, message: str, *, key: str, current: Any) -> None:
        super().__init__(message)
        self.key = key
        self.current = current


class KeyNotSet(ConfigError):
    """The key holds nothing, and it was declared without a default."""


class DecodeError(ConfigError):
    """The stored bytes are not a value of the key's type. Another client wrote them; they are in `raw`."""

    def __init__(self, message: str, *, raw: bytes = b"") -> None:
        super().__init__(message)
        self.raw = raw


class EncodeError(ConfigError):
    """The value cannot be written with the key's codec. Nothing was sent."""


class ValueTooLarge(ConfigError):
    """The server refused the request because of its size (1.5 MiB unless the server is configured otherwise)."""


class StoreFull(ConfigError):
    """The server's database has reached its quota: it answers reads and refuses every write until it is
    cleaned up."""


class AuthenticationFailed(ConfigError):
    """User name or password were refused, or the server requires them and the store was opened without."""


class PermissionDenied(ConfigError):
    """The user may not do this. Access to everything below the root is needed."""


class Closed(ConfigError):
    """The store was closed, or it belongs to another process (a store does not survive a fork)."""
