"""The store's own log: what was committed, revision by revision. Verdicts are judged by it.

A *revision* is one committed transaction; its events are the changes it made, in the store's own bytes.
etcd's JSON gateway writes 64-bit numbers as text, leaves out what is zero or empty, and writes bytes in
base64; this module reads that back.

>>> change = {"type": "DELETE", "kv": {"key": "azE=", "mod_revision": "5"}}
>>> read_events([{"kv": {"key": "azA=", "mod_revision": "4", "value": "djA="}}, change])
[(4, LogEvent(type='put', key=b'k0', value=b'v0')), (5, LogEvent(type='delete', key=b'k1', value=None))]
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["LogEvent", "LogRevision", "read_events"]


@dataclass(frozen=True)
class LogEvent:
    """One change of one key, as the store holds it.

    Attributes:
        type: ``"put"`` or ``"delete"``.
        key: the key's bytes.
        value: the bytes put, or None for a delete.
    """

    type: Literal["put", "delete"]
    key: bytes
    value: bytes | None


@dataclass(frozen=True)
class LogRevision:
    """One committed transaction.

    Attributes:
        revision: the store's revision; it rises by exactly one from transaction to transaction.
        events: the changes that the transaction made, never empty.
    """

    revision: int
    events: tuple[LogEvent, ...]


def read_events(events: Iterable[Mapping[str, Any]]) -> list[tuple[int, LogEvent]]:
    """Read the ``events`` of one watch reply of etcd's JSON gateway, each with the revision that made it.

    Raises:
        ValueError: when a reply is not one that etcd writes.
    """
    return [_read(event) for event in events]


def _read(event: Mapping[str, Any]) -> tuple[int, LogEvent]:
    try:
        entry = event["kv"]
        revision = int(entry["mod_revision"])
        key = base64.b64decode(entry["key"], validate=True)
        if event.get("type", "PUT") == "DELETE":
            return revision, LogEvent("delete", key, None)
        return revision, LogEvent("put", key, base64.b64decode(entry.get("value", ""), validate=True))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an event of etcd's JSON gateway: {event!r}") from error
