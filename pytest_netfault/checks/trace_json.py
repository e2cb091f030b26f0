"""Traces as JSON: reading, which is strict, and writing.

An error carries the path of the member that is wrong; unknown members are ignored. Common forms are read by a short
path, because files hold millions of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pytest_netfault.checks.reading import (
    FormatError,
    Path,
    boolean,
    integer,
    integer_or_none,
    items,
    location,
    members,
    string,
    text_or_none,
    wrong,
)
from pytest_netfault.checks.trace import (
    DISTURBERS,
    EVENT_TYPES,
    PROMISES,
    Bookmarked,
    Compaction,
    Delivered,
    Disconnected,
    Disturbance,
    Failed,
    Filter,
    LogEvent,
    Replacement,
    Resynced,
    Revision,
    StreamItem,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)
from pytest_netfault.checks.writers_json import dump_write, read_writers

__all__ = ["dump_trace", "read_trace"]


def read_trace(document: object, path: Path) -> Trace:
    """Read a trace; see ``Trace.from_json``."""
    of = members(document, path)
    promise = string(of, "promise", path)
    if promise not in PROMISES:
        raise wrong((*path, "promise"), " or ".join(f'"{name}"' for name in PROMISES), promise)
    try:
        return Trace(
            promise=promise,  # type: ignore[arg-type]
            filter=_read_filter(of, path),
            start_revision_exclusive=integer(of, "start_revision_exclusive", path),
            log=tuple(_read_log(items(of, "log", path), (*path, "log"))),
            stream=tuple(_read_stream(items(of, "stream", path), (*path, "stream"))),
            quiet_at_end=boolean(of, "quiet_at_end", path),
            compactions=tuple(
                Compaction(integer(one, "revision", at), _after(one, "after_item", at))
                for one, at in _objects(of, "compactions", path)
            ),
            id=text_or_none(of, "id", path),
            initial=None if of.get("initial") is None else _read_kvs(of, "initial", path),
            replacements=tuple(
                Replacement(integer(one, "after_entry", at), _after(one, "after_item", at))
                for one, at in _objects(of, "replacements", path)
            ),
            start_not_before=integer_or_none(of, "start_not_before", path),
            owed_until=integer_or_none(of, "owed_until", path),
            inconclusive=text_or_none(of, "inconclusive", path),
            client_failed=text_or_none(of, "client_failed", path),
            disturbances=None
            if of.get("disturbances") is None
            else tuple(_read_disturbance(one, at) for one, at in _objects(of, "disturbances", path)),
            **read_writers(of, path),
        )
    except FormatError as error:
        if error.path[: len(path)] == path:
            raise
        # Raised by __post_init__, which does not know where in a document the trace stands.
        raise FormatError(error.reason, (*path, *error.path)) from None


def _read_filter(of: Mapping[str, Any], path: Path) -> Filter:
    if "filter" not in of:
        return Filter()
    at = (*path, "filter")
    inner = members(of["filter"], at)
    return Filter(string(inner, "key", at), boolean(inner, "prefix", at) if "prefix" in inner else False)


def _objects(of: Mapping[str, Any], name: str, path: Path) -> list[tuple[dict[str, Any], Path]]:
    if of.get(name) is None:
        return []
    at = (*path, name)
    return [(members(one, (*at, index)), (*at, index)) for index, one in enumerate(items(of, name, path))]


def _read_disturbance(of: Mapping[str, Any], path: Path) -> Disturbance:
    by = string(of, "by", path) if "by" in of else "network"
    if by not in DISTURBERS:
        raise wrong((*path, "by"), " or ".join(f'"{name}"' for name in DISTURBERS), by)
    return Disturbance(integer(of, "revision", path), _after(of, "after_item", path), by)  # type: ignore[arg-type]


def _after(of: Mapping[str, Any], name: str, path: Path) -> int:
    return integer(of, name, path) if name in of else 0


def _read_kvs(of: Mapping[str, Any], name: str, path: Path) -> dict[str, str]:
    if name not in of:
        raise FormatError(f'{location(path)} has no "{name}"', path)
    at = (*path, name)
    kvs = members(of[name], at)
    for key, value in kvs.items():
        if not isinstance(value, str):
            raise wrong((*at, key), "a string", value)
    return kvs


def _read_log(entries: list[Any], path: Path) -> list[Revision]:
    log = []
    for index, entry in enumerate(entries):
        events = _plain_events(entry, LogEvent)
        if events is not None and type(entry.get("revision")) is int:
            log.append(Revision(entry["revision"], events))
        else:
            log.append(_read_entry(entry, (*path, index)))
    return log


def _read_entry(entry: object, path: Path) -> Revision:
    of = members(entry, path)
    events = []
    for index, event in enumerate(items(of, "events", path)):
        at = (*path, "events", index)
        change = _read_change(event, at)
        if change.type == "put" and change.value is None:
            raise wrong((*at, "value"), "a string", None)
        events.append(change)
    return Revision(integer(of, "revision", path), tuple(events))


def _read_change(event: object, path: Path) -> LogEvent:
    of = members(event, path)
    kind = string(of, "type", path)
    if kind not in EVENT_TYPES:
        raise wrong((*path, "type"), '"put" or "delete"', kind)
    return LogEvent(kind, string(of, "key", path), text_or_none(of, "value", path))  # type: ignore[arg-type]


_E = TypeVar("_E", LogEvent, TraceEvent)


def _plain_events(item: object, make: type[_E]) -> tuple[_E, ...] | None:
    """The changes of an entry or a delivery if nothing about them needs a second look, else None.

    Files hold millions of these, so that a way past the readers, which carry a path for each member, is worth
    having. It accepts less than they do, and never raises.
    """
    if type(item) is not dict:
        return None
    events = item.get("events")
    if type(events) is not list:
        return None
    changes: list[Any] = []
    for event in events:
        if type(event) is not dict:
            return None
        kind, key, value = event.get("type"), event.get("key"), event.get("value")
        if (
            type(key) is not str
            or (kind != "put" and kind != "delete")
            or (type(value) is not str and (kind == "put" or value is not None))
        ):
            return None
        if make is TraceEvent:
            revision = event.get("revision")
            if type(revision) is not int:
                return None
            changes.append(TraceEvent(kind, key, value, revision))
        else:
            changes.append(LogEvent(kind, key, value))
    return tuple(changes)


def _read_stream(stream: list[Any], path: Path) -> list[StreamItem]:
    read: list[StreamItem] = []
    for index, item in enumerate(stream):
        events = _plain_events(item, TraceEvent)
        if events is not None and len(item) == 1:
            read.append(Delivered(events))
        else:
            read.append(_read_item(item, (*path, index)))
    return read


_KINDS = ("events", "bookmark", "resync", "disconnect", "error")


def _read_item(item: object, path: Path) -> StreamItem:
    of = members(item, path)
    kinds = [kind for kind in _KINDS if kind in of]
    if len(kinds) != 1:
        raise FormatError(
            f"{location(path)} must have exactly one of {', '.join(_KINDS)}, not {' and '.join(kinds) or 'none'}",
            path,
        )
    kind = kinds[0]
    if kind == "events":
        return _read_delivery(of, path)
    if kind == "bookmark":
        return Bookmarked(integer(of, "bookmark", path))
    if kind == "resync":
        at = (*path, "resync")
        inner = members(of["resync"], at)
        kvs = _read_kvs(inner, "kvs", at)
        if _shows_none(inner):
            return UnplacedSnapshot(kvs)
        return Resynced(integer(inner, "revision", at), kvs)
    if kind == "error":
        return Failed(string(of, "error", path))
    return Disconnected()


def _read_delivery(of: Mapping[str, Any], path: Path) -> StreamItem:
    events: list[TraceEvent | LogEvent] = []
    placed: list[TraceEvent] = []
    for index, event in enumerate(items(of, "events", path)):
        at = (*path, "events", index)
        change = _read_change(event, at)
        if _shows_none(event):
            events.append(change)
        else:
            placed.append(TraceEvent(*change, integer(event, "revision", at)))
            events.append(placed[-1])
    return Delivered(tuple(placed)) if len(placed) == len(events) else UnplacedDelivery(tuple(events))


def _shows_none(of: Mapping[str, Any]) -> bool:
    """Null says that the subscriber has no revisions; a member that is missing is damage."""
    return "revision" in of and of["revision"] is None


def dump_trace(trace: Trace) -> dict[str, Any]:
    """Write a trace; see ``Trace.to_json``."""
    document: dict[str, Any] = {
        "id": trace.id,
        "promise": trace.promise,
        "filter": {"key": trace.filter.key, "prefix": trace.filter.prefix},
        "start_revision_exclusive": trace.start_revision_exclusive,
        "log": [
            {"revision": entry.revision, "events": [_dump_event(*event) for event in entry.events]}
            for entry in trace.log
        ],
        "compactions": [
            {"revision": one.revision, "after_item": one.after_item} for one in trace.compactions
        ],
        "stream": [_dump_item(item) for item in trace.stream],
        "quiet_at_end": trace.quiet_at_end,
    }
    if trace.initial is not None:
        document["initial"] = dict(trace.initial)
    if trace.replacements:
        document["replacements"] = [
            {"after_entry": one.after_entry, "after_item": one.after_item} for one in trace.replacements
        ]
    for name in ("start_not_before", "owed_until"):
        if getattr(trace, name) is not None:
            document[name] = getattr(trace, name)
    for name in ("inconclusive", "client_failed"):
        if getattr(trace, name) is not None:
            document[name] = getattr(trace, name)
    if trace.disturbances is not None:
        document["disturbances"] = [
            {"revision": one.revision, "after_item": one.after_item, "by": one.by}
            for one in trace.disturbances
        ]
    if trace.writes is not None or trace.held is not None:
        document["log_from"] = trace.log_from
        document["acknowledgements"] = None if trace.writes is None else [*map(dump_write, trace.writes)]
        document["held"] = None if trace.held is None else dict(trace.held)
    return document


def _dump_event(type: str, key: str, value: str | None) -> dict[str, Any]:  # noqa: A002
    event: dict[str, Any] = {"type": type, "key": key}
    if value is not None:
        event["value"] = value
    return event


def _dump_delivered(event: TraceEvent | LogEvent) -> dict[str, Any]:
    revision = event.revision if isinstance(event, TraceEvent) else None
    return {**_dump_event(event.type, event.key, event.value), "revision": revision}


def _dump_item(item: StreamItem) -> dict[str, Any]:
    if isinstance(item, (Delivered, UnplacedDelivery)):
        return {"events": [_dump_delivered(event) for event in item.events]}
    if isinstance(item, Bookmarked):
        return {"bookmark": item.revision}
    if isinstance(item, Resynced):
        return {"resync": {"revision": item.revision, "kvs": dict(item.kvs)}}
    if isinstance(item, UnplacedSnapshot):
        return {"resync": {"revision": None, "kvs": dict(item.kvs)}}
    if isinstance(item, Failed):
        return {"error": item.error}
    return {"disconnect": True}
