"""What `update` does between two attempts: the same for threads and for coroutines."""

from __future__ import annotations

import random
from typing import TypeVar

from runtime_config import errors
from runtime_config.keys import Key, Unset
from runtime_config.values import Absent, Versioned

T = TypeVar("T")


def held(key: Key[T], seen: Versioned[T] | Absent) -> T:
    """What an update starts from: the value that was seen, or the default. Raises KeyNotSet."""
    if not isinstance(seen, Absent):
        return seen.value
    if isinstance(key.default, Unset):
        raise errors.KeyNotSet(f"{key.name!r} is not set, and it has no default to update")
    return key.default


def pause(tries: int) -> float:
    """Seconds to wait after so many conflicts.

    Colliding writers spread out, so that each of them succeeds in the end.
    """
    return random.random() * min(0.05, 0.002 * float(2 ** min(tries, 8)))
