"""The bounds of every number that a caller passes, and the errors that name the value and what would be valid."""

from __future__ import annotations

from typing import Any

# A week. Longer waits are almost certainly a unit error, and other libraries have limits not far above: gRPC keeps a
# keepalive in 32 bits of milliseconds (24 days).
LONGEST = 604_800.0
# Servers count revisions in 63 bits.
LAST_REVISION = 2**63 - 1


def seconds(name: str, value: object, *, least: float = 0.001) -> float:
    """Return `value` as a float if it is a number of seconds from `least` to a week.

    Raises TypeError for anything but an int or a float, ValueError outside the bounds.

    >>> seconds("timeout", 5)
    5.0
    >>> seconds("timeout", 10**400)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: timeout must be from 0.001 to 604800 seconds, not 100000...
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {shown(value)}")
    # Compared before it is converted: an int may be too large for a float. NaN compares as False.
    if not least <= value <= LONGEST:
        raise ValueError(f"{name} must be from {least:g} to {LONGEST:.0f} seconds, not {shown(value)}")
    return float(value)


def revision(name: str, value: object) -> int:
    """Return `value` if it is a revision, 0 for "not set" included. Raises TypeError or ValueError.

    >>> revision("revision", -1)
    Traceback (most recent call last):
    ValueError: revision must be from 0 to 9223372036854775807, not -1
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if not 0 <= value <= LAST_REVISION:
        raise ValueError(f"{name} must be from 0 to {LAST_REVISION}, not {shown(value)}")
    return int(value)


def shown(value: Any) -> str:
    """`repr(value)` for a message: at most 100 characters; never raises, whatever the object does.

    >>> shown(10**5000), shown("a" * 200)[-6:]
    ('a number of 16610 bits', 'aaa...')
    """
    try:
        text = repr(value)
    except Exception:  # an int too long to print, or somebody's own __repr__
        if isinstance(value, int):
            return f"a number of {value.bit_length()} bits"
        return f"a {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."
