"""Acknowledgements, read from JSON; ``docs/formats.md`` describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_netfault.checks.acks import Acks, Pair, UniqueWrite
from pytest_netfault.checks.reading import (
    FormatError,
    Path,
    boolean,
    items,
    member,
    members,
    outcome,
    string,
    text_or_none,
    wrong,
)

__all__ = ["read_acks"]


def read_acks(document: object, path: Path = ()) -> Acks:
    """Read a decoded JSON object.

    Raises:
        FormatError: a member is missing or is not what the format says; it carries the member's path.
    """
    of = members(document, path)
    writes = tuple(
        _read_write(one, (*path, "writes", index)) for index, one in enumerate(items(of, "writes", path))
    )
    delivered = tuple(
        _read_pair(one, (*path, "delivered", index)) for index, one in enumerate(items(of, "delivered", path))
    )
    quiet = boolean(of, "quiet_at_end", path)
    final_read = _final_read(of, writes, path)
    name = text_or_none(of, "id", path)
    try:
        return Acks(writes, delivered, final_read, quiet, name)
    except FormatError as error:
        raise FormatError(error.reason, (*path, *error.path)) from None


def _read_write(document: object, path: Path) -> UniqueWrite:
    of = members(document, path)
    ended = outcome(of, path)
    name, value = member(of, "id", path), member(of, "value", path)
    if type(name) is not str and type(name) is not int:
        raise wrong((*path, "id"), "a string or a whole number", name)
    return UniqueWrite(name, string(of, "key", path), value, ended)


def _read_pair(document: object, path: Path) -> Pair:
    of = members(document, path)
    value = member(of, "value", path)
    return Pair(string(of, "key", path), value)


def _final_read(of: Mapping[str, Any], writes: Sequence[UniqueWrite], path: Path) -> Mapping[str, Any] | None:
    """The final read in any of its spellings: an object of keys, pairs, or the value of the only key."""
    value = of.get("final_read")
    keys = {write.key for write in writes}
    if value is None:
        return None
    if isinstance(value, dict):
        if set(value) == {"key", "value"} and not keys & {"key", "value"}:
            return {str(value["key"]): value["value"]}
        return value
    at = (*path, "final_read")
    if isinstance(value, list):
        read = {}
        for index, one in enumerate(value):
            pair = members(one, (*at, index))
            read[string(pair, "key", (*at, index))] = pair.get("value")
        return read
    if len(keys) != 1:
        raise wrong(at, "an object with the value of each key, or null", value)
    return {next(iter(keys)): value}
