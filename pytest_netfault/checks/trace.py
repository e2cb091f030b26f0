"""A trace: what a store committed, and what one subscriber was handed of it.

This is the data that ``guarantees.judge_trace`` judges, the data that a failing proof leaves behind as
``*.json``, and nothing else. A trace can be built in code as well as read:

>>> trace = Trace(
...     id="lost in the gap",
...     promise="every-event",
...     filter=Filter("r17.", prefix=True),
...     start_revision_exclusive=1,
...     log=(
...         Revision(2, (LogEvent("put", "r17.a", "1"),)),
...         Revision(3, (LogEvent("delete", "r17.a"),)),
...     ),
...     stream=(
...         Delivered((TraceEvent("put", "r17.a", "1", 2),)),
...         Disconnected(),
...     ),
...     quiet_at_end=True,
... )
>>> Trace.from_json(trace.to_json()) == trace
True

Rules of this file:

* Data only: nothing here judges. Items of a stream are named by what happened to the subscriber: it was
  ``Delivered`` events, was ``Bookmarked``, ``Resynced``, ``Disconnected``, or ``Failed``.
* ``LogEvent`` and ``TraceEvent`` are named tuples where everything else is a frozen dataclass: a trace holds
  millions of them, they cost a third as much to make, and a ``TraceEvent`` is itself the dictionary key
  that finds it in the log.
* ``Trace.from_json`` is strict about what it reads and blind to members that it does not know.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from pytest_netfault.checks.reading import (
    FormatError,
    Path,
    boolean,
    integer,
    items,
    members,
    place,
    string,
    text_or_none,
    wrong,
)

__all__ = [
    "Bookmarked",
    "Compaction",
    "Delivered",
    "Disconnected",
    "Failed",
    "Filter",
    "LogEvent",
    "Promise",
    "Replacement",
    "Resynced",
    "Revision",
    "StreamItem",
    "Trace",
    "TraceEvent",
]

Promise = Literal["every-event", "latest-value"]
EventType = Literal["put", "delete"]
_PROMISES = get_args(Promise)
_TYPES = get_args(EventType)


class LogEvent(NamedTuple):
    """One change that the store committed; its revision is that of the :class:`Revision` around it."""

    type: EventType
    key: str
    value: str | None = None


class TraceEvent(NamedTuple):
    """One change as a subscriber was handed it, or as the log has it, with its revision."""

    type: EventType
    key: str
    value: str | None
    revision: int


@dataclass(frozen=True)
class Filter:
    """What is subscribed: one key, or with ``prefix`` every key that begins with it.

    >>> Filter("r17.").matches("r17x.a"), Filter("r17.").matches("r17.a"), Filter("a", prefix=False).matches("ab")
    (False, True, False)
    """

    key: str = ""
    prefix: bool = True

    def matches(self, key: str) -> bool:
        """Whether a change of this key belongs to the subscription."""
        return key.startswith(self.key) if self.prefix else key == self.key


@dataclass(frozen=True)
class Revision:
    """One commit of the store with all of its changes, in their order."""

    revision: int
    events: tuple[LogEvent, ...]


@dataclass(frozen=True)
class Compaction:
    """The store forgot what lay at or below ``revision``, after ``after_item`` items had been handed over."""

    revision: int
    after_item: int = 0


@dataclass(frozen=True)
class Replacement:
    """The store was replaced by another one (wiped, or restored from a backup).

    Attributes:
        after_entry: how many entries of the log belong to the stores before; the next one is the first of the
            new store, whose revisions begin again.
        after_item: how many items had been handed over when it happened.
    """

    after_entry: int
    after_item: int = 0


@dataclass(frozen=True)
class Delivered:
    """Changes that were handed over together, in one call."""

    events: tuple[TraceEvent, ...]


@dataclass(frozen=True)
class Bookmarked:
    """The subscriber was told that everything up to ``revision`` had been delivered."""

    revision: int


@dataclass(frozen=True)
class Resynced:
    """The subscriber was handed the whole state of its subscription at ``revision``."""

    revision: int
    kvs: Mapping[str, str]


@dataclass(frozen=True)
class Disconnected:
    """The subscriber learned that its link had broken. Information only."""


@dataclass(frozen=True)
class Failed:
    """The subscriber was told, loudly, that it can no longer be served: the duty to deliver ends."""

    error: str


StreamItem = Delivered | Bookmarked | Resynced | Disconnected | Failed


@dataclass(frozen=True)
class Trace:
    """What a store committed and what a subscriber was handed of it, in order.

    Attributes:
        promise: ``"every-event"``, or ``"latest-value"`` (values may be skipped, never go back, the last is right).
        filter: what is subscribed.
        start_revision_exclusive: what the subscriber already had; the first change it is owed comes after it.
        log: the truth, revisions rising.
        stream: what the subscriber was handed, in order.
        quiet_at_end: False if the run was stopped before things were quiet, so that a missing tail proves nothing.
        compactions: what the store forgot on purpose, and when.
        id: a name for reports.
        initial: the state of the store just before the first revision of the log, for the keys of the filter.
            None where it is not known: see ``guarantees.py`` for what a snapshot is then held to.
        replacements: where one store ends and the next begins.
    """

    promise: Promise
    filter: Filter
    start_revision_exclusive: int
    log: tuple[Revision, ...]
    stream: tuple[StreamItem, ...]
    quiet_at_end: bool
    compactions: tuple[Compaction, ...] = ()
    id: str | None = None
    initial: Mapping[str, str] | None = None
    replacements: tuple[Replacement, ...] = ()

    def __post_init__(self) -> None:
        if self.promise not in _PROMISES:
            raise wrong(("promise",), " or ".join(f'"{name}"' for name in _PROMISES), self.promise)
        borders = {replacement.after_entry for replacement in self.replacements}
        for index, (one, two) in enumerate(itertools.pairwise(self.replacements)):
            if two.after_entry < one.after_entry or two.after_item < one.after_item:
                at: Path = ("replacements", index + 1)
                raise FormatError(f"{place(at)} happened before the one in front of it", at)
        last: int | None = None
        for index, entry in enumerate(self.log):
            if last is not None and entry.revision <= last and index not in borders:
                path: Path = ("log", index, "revision")
                raise FormatError(
                    f"{place(path)} must be above the revision before it, {last}, not {entry.revision}", path
                )
            last = entry.revision

    @classmethod
    def from_json(cls, document: object, path: Path = ()) -> Trace:
        """The trace that a decoded JSON object describes.

        ``path`` is where the object stands in its document (``("cases", 3)``), for the errors.

        Raises:
            FormatError: a member is missing or is not what the format says; it carries the member's path.
        """
        of = members(document, path)
        promise = string(of, "promise", path)
        if promise not in _PROMISES:
            raise wrong((*path, "promise"), " or ".join(f'"{name}"' for name in _PROMISES), promise)
        try:
            return cls(
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
            )
        except FormatError as error:
            if error.path[: len(path)] == path:
                raise
            # Raised by __post_init__, which does not know where in a document the trace stands.
            raise FormatError(error.reason, (*path, *error.path)) from None

    def to_json(self) -> dict[str, Any]:
        """The trace as plain objects, ready for ``json.dumps``."""
        document: dict[str, Any] = {
            "id": self.id,
            "promise": self.promise,
            "filter": {"key": self.filter.key, "prefix": self.filter.prefix},
            "start_revision_exclusive": self.start_revision_exclusive,
            "log": [
                {"revision": entry.revision, "events": [_dump_event(*event) for event in entry.events]}
                for entry in self.log
            ],
            "compactions": [
                {"revision": one.revision, "after_item": one.after_item} for one in self.compactions
            ],
            "stream": [_dump_item(item) for item in self.stream],
            "quiet_at_end": self.quiet_at_end,
        }
        if self.initial is not None:
            document["initial"] = dict(self.initial)
        if self.replacements:
            document["replacements"] = [
                {"after_entry": one.after_entry, "after_item": one.after_item} for one in self.replacements
            ]
        return document


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


def _after(of: Mapping[str, Any], name: str, path: Path) -> int:
    return integer(of, name, path) if name in of else 0


def _read_kvs(of: Mapping[str, Any], name: str, path: Path) -> dict[str, str]:
    if name not in of:
        raise FormatError(f'{place(path)} has no "{name}"', path)
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
    if kind not in _TYPES:
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
            f"{place(path)} must have exactly one of {', '.join(_KINDS)}, not {' and '.join(kinds) or 'none'}",
            path,
        )
    kind = kinds[0]
    if kind == "events":
        events = []
        for index, event in enumerate(items(of, "events", path)):
            at = (*path, "events", index)
            change = _read_change(event, at)
            events.append(TraceEvent(*change, integer(event, "revision", at)))
        return Delivered(tuple(events))
    if kind == "bookmark":
        return Bookmarked(integer(of, "bookmark", path))
    if kind == "resync":
        at = (*path, "resync")
        inner = members(of["resync"], at)
        return Resynced(integer(inner, "revision", at), _read_kvs(inner, "kvs", at))
    if kind == "error":
        return Failed(string(of, "error", path))
    return Disconnected()


def _dump_event(type: str, key: str, value: str | None, revision: int | None = None) -> dict[str, Any]:  # noqa: A002
    event: dict[str, Any] = {"type": type, "key": key}
    if value is not None:
        event["value"] = value
    if revision is not None:
        event["revision"] = revision
    return event


def _dump_item(item: StreamItem) -> dict[str, Any]:
    if isinstance(item, Delivered):
        return {"events": [_dump_event(*event) for event in item.events]}
    if isinstance(item, Bookmarked):
        return {"bookmark": item.revision}
    if isinstance(item, Resynced):
        return {"resync": {"revision": item.revision, "kvs": dict(item.kvs)}}
    if isinstance(item, Failed):
        return {"error": item.error}
    return {"disconnect": True}
