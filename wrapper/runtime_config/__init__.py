"""Typed shared configuration over etcd, whose subscriptions lose nothing.

    from runtime_config import ConfigStore, Key

    LIMIT = Key("billing.limit", int, default=100)
    with ConfigStore("127.0.0.1:2379", root="/config/prod") as store:
        store.set(LIMIT, 200)
        with store.subscribe(LIMIT) as updates:
            for item in updates:  # a Snapshot, then Changes
                ...

Everything public is listed here; modules and packages whose names begin with an underscore are private.
"""

from __future__ import annotations

from runtime_config._etcd.endpoints import TLS
from runtime_config.codecs import JSON, Codec
from runtime_config.errors import (
    AuthenticationFailed,
    Closed,
    ConfigError,
    Conflict,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    KeyNotSet,
    OutcomeUnknown,
    PermissionDenied,
    StoreFull,
    Unavailable,
    ValueTooLarge,
)
from runtime_config.keys import UNSET, Key, Section
from runtime_config.live import Live
from runtime_config.state import CLOSED, CONNECTING, STALE, SYNCED, Counters, Handle, Health, State
from runtime_config.store import ConfigStore
from runtime_config.subscription import Subscription
from runtime_config.transaction import Transaction
from runtime_config.values import (
    ABSENT,
    Absent,
    Changes,
    Deleted,
    Item,
    Resynced,
    Snapshot,
    Undecodable,
    Updated,
    Values,
    Versioned,
)

__all__ = [
    "ABSENT",
    "CLOSED",
    "CONNECTING",
    "JSON",
    "STALE",
    "SYNCED",
    "TLS",
    "UNSET",
    "Absent",
    "AuthenticationFailed",
    "Changes",
    "Closed",
    "Codec",
    "ConfigError",
    "ConfigStore",
    "Conflict",
    "Counters",
    "DeadlineExceeded",
    "DecodeError",
    "Deleted",
    "EncodeError",
    "Handle",
    "Health",
    "Item",
    "Key",
    "KeyNotSet",
    "Live",
    "OutcomeUnknown",
    "PermissionDenied",
    "Resynced",
    "Section",
    "Snapshot",
    "State",
    "StoreFull",
    "Subscription",
    "Transaction",
    "Unavailable",
    "Undecodable",
    "Updated",
    "ValueTooLarge",
    "Values",
    "Versioned",
]
