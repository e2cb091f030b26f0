"""What a failed call means. Pure: a gRPC status in, a verdict out.

Only the status code and etcd's own messages ("etcdserver: ...") are relied on; gRPC's wording changes from release to
release. The one exception is a failed connect, see `NEVER_SENT`: a wording that we do not know turns an `Unavailable`
into an `OutcomeUnknown`, which is conservative and never wrong.
"""

from __future__ import annotations

import enum
from typing import Any

from runtime_config import errors


class Verdict(enum.Enum):
    """What a status says about the request that got it."""

    NOT_SENT = "no connection: the request was never sent"
    REFUSED_NOW = "the server answered that it did not apply it, and may later"
    LOST = "sent, and no reply came"
    REAUTHENTICATE = "the token is no longer valid; not applied"
    COMPACTED = "the revision asked for is gone"
    FUTURE = "the revision asked for does not exist yet"
    AUTH_DISABLED = "authentication is disabled on the server"
    FINAL = "not applied, and trying again will not help"


# How gRPC words a connection that could not be made, from 1.53 to 1.85 (tests pin it for the installed release).
NEVER_SENT = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "connections to all backends failing",
)

_FINAL: tuple[tuple[str, str, type[errors.ConfigError]], ...] = (
    ("PERMISSION_DENIED", "", errors.PermissionDenied),
    ("INVALID_ARGUMENT", "authentication failed", errors.AuthenticationFailed),
    ("INVALID_ARGUMENT", "request is too large", errors.ValueTooLarge),
    ("RESOURCE_EXHAUSTED", "larger than max", errors.ValueTooLarge),
    ("RESOURCE_EXHAUSTED", "message too large", errors.ValueTooLarge),
    ("RESOURCE_EXHAUSTED", "database space exceeded", errors.StoreFull),
    ("UNAUTHENTICATED", "", errors.AuthenticationFailed),
)
_STALE_TOKEN = ("invalid auth token", "user name is empty", "revision of auth store is old")
_TRANSPORT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED", "ABORTED", "DATA_LOSS")


def judge(code: str, details: str) -> Verdict:
    """Classify a status, given as the name of its code and its message.

    >>> judge("UNAVAILABLE", "failed to connect to all addresses; last error: refused").name
    'NOT_SENT'
    >>> judge("UNAVAILABLE", "Socket closed").name, judge("DEADLINE_EXCEEDED", "Deadline Exceeded").name
    ('LOST', 'LOST')
    >>> judge("UNAVAILABLE", "etcdserver: no leader").name, judge("UNAVAILABLE", "etcdserver: request timed out").name
    ('REFUSED_NOW', 'LOST')
    """
    if code not in _TRANSPORT and any(text in details for text in _STALE_TOKEN):
        return Verdict.REAUTHENTICATE
    if code == "OUT_OF_RANGE":
        return Verdict.FUTURE if "future revision" in details else Verdict.COMPACTED
    if code == "FAILED_PRECONDITION" and "authentication is not enabled" in details:
        return Verdict.AUTH_DISABLED
    if code == "UNAVAILABLE" and details.startswith(NEVER_SENT):
        return Verdict.NOT_SENT
    if code == "UNAVAILABLE" and details.startswith(("etcdserver: no leader", "etcdserver: not capable")):
        return Verdict.REFUSED_NOW
    if code == "RESOURCE_EXHAUSTED" and "too many requests" in details:
        return Verdict.REFUSED_NOW
    return Verdict.LOST if code in _TRANSPORT else Verdict.FINAL


def final_error(code: str, details: str) -> errors.ConfigError:
    """The exception for a `FINAL` (or unrenewable) verdict."""
    for wanted, text, kind in _FINAL:
        if code == wanted and text in details:
            return kind(f"the server refused: {details} ({code})")
    if any(text in details for text in _STALE_TOKEN):
        return errors.AuthenticationFailed(f"the server refused: {details} ({code})")
    return errors.ConfigError(f"the server refused: {details} ({code})")


class CallFailed(Exception):
    """The failure of one attempt, with its verdict. Never leaves this package."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.verdict = judge(code, details)

    @classmethod
    def of(cls, error: Any) -> CallFailed:
        return cls(error.code().name, error.details() or "")
