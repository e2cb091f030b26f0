"""The outcomes of writes, as JSON: the members of a trace that are about writes.

    "log_from": "acknowledgements",
    "acknowledgements": [{"changes": {"r17.a": "1"}, "outcome": "ok", "begun": 0.01, "ended": 0.02}],
    "held": {"r17.a": "1"}

Without ``log_from`` nothing is read: traces of earlier versions have acknowledgements that were never meant to be
judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from pytest_netfault.checks.reading import Path, items, members, outcome, seconds_or_none, string, wrong
from pytest_netfault.checks.writes import Acknowledgement, Change

__all__ = ["Writers", "dump_write", "read_writers"]


class Writers(TypedDict, total=False):
    """Arguments of a ``Trace``."""

    log_from: Any
    writes: tuple[Acknowledgement, ...] | None
    held: dict[str, str | None] | None


def read_writers(of: Mapping[str, Any], path: Path) -> Writers:
    """The members of a trace about writes; none if it does not say where its log comes from."""
    if of.get("log_from") is None:
        return {}
    held = None if of.get("held") is None else dict(_changes(of, "held", path))
    writes = None
    if of.get("acknowledgements") is not None:
        writes = tuple(
            _read_write(one, (*path, "acknowledgements", index))
            for index, one in enumerate(items(of, "acknowledgements", path))
        )
    return {"log_from": string(of, "log_from", path), "writes": writes, "held": held}


def _read_write(document: object, path: Path) -> Acknowledgement:
    of = members(document, path)
    ended_with = outcome(of, path)
    begun, ended = (seconds_or_none(of, name, path) for name in ("begun", "ended"))
    if begun is not None and ended is not None and ended < begun:
        raise wrong((*path, "ended"), f"at or after begun, {begun}", ended)
    return Acknowledgement(_changes(of, "changes", path), ended_with, begun, ended)


def _changes(of: Mapping[str, Any], name: str, path: Path) -> tuple[Change, ...]:
    at = (*path, name)
    changes = members(of.get(name), at)
    for key, value in changes.items():
        if value is not None and not isinstance(value, str):
            raise wrong((*at, key), "a string or null", value)
    return tuple(changes.items())


def dump_write(write: Acknowledgement) -> dict[str, Any]:
    """One write as plain objects."""
    return {
        "changes": dict(write.changes),
        "outcome": write.outcome,
        "begun": write.begun,
        "ended": write.ended,
    }
