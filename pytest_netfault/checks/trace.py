"""A trace: what a store committed, and what was delivered of it to one subscriber.

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

* Items of a stream are named by what happened to the subscriber: it was ``Delivered`` events, was ``Bookmarked``,
  ``Resynced``, ``Disconnected``, or ``Failed``.
* What arrived without revisions is an ``UnplacedDelivery`` or an ``UnplacedSnapshot``. ``placing.py`` finds its place
  in the log, so that the judges never meet a revision that is missing.
* ``LogEvent`` and ``TraceEvent`` are named tuples where everything else is a frozen dataclass: a trace holds
  millions of them, they cost a third as much to make, and a ``TraceEvent`` is itself the dictionary key
  that finds it in the log.
* ``Trace.from_json`` is strict about what it reads and blind to members that it does not know.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from pytest_netfault.checks.reading import FormatError, Path, location, wrong
from pytest_netfault.checks.writes import Acknowledgement, Held

__all__ = [
    "DISTURBERS",
    "EVENT_TYPES",
    "LOG_SOURCES",
    "PROMISES",
    "Bookmarked",
    "Compaction",
    "Delivered",
    "Disconnected",
    "Disturbance",
    "Disturber",
    "Failed",
    "Filter",
    "LogEvent",
    "LogSource",
    "Promise",
    "Replacement",
    "Resynced",
    "Revision",
    "StreamItem",
    "Trace",
    "TraceEvent",
    "UnplacedDelivery",
    "UnplacedSnapshot",
]

Promise = Literal["every-event", "latest-value", "latest-per-key", "comes-back"]
Disturber = Literal["network", "client"]
EventType = Literal["put", "delete"]
LogSource = Literal["server", "acknowledgements"]
PROMISES = get_args(Promise)
LOG_SOURCES = get_args(LogSource)
DISTURBERS = get_args(Disturber)
EVENT_TYPES = get_args(EventType)


class LogEvent(NamedTuple):
    """One change that the store committed; its revision is that of the :class:`Revision` around it."""

    type: EventType
    key: str
    value: str | None = None


class TraceEvent(NamedTuple):
    """One change as it was delivered to a subscriber, or as the log has it, with its revision."""

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
    """The store compacted what lay at or below ``revision``, after ``after_item`` items of the stream."""

    revision: int
    after_item: int = 0


@dataclass(frozen=True)
class Disturbance:
    """Something happened to the way between store and subscriber, and the store was at ``revision`` afterwards.

    Attributes:
        revision: everything that was committed before it is at or below this revision.
        after_item: how many items of the stream had come when the revision was looked up, or fewer.
        by: ``"network"`` (a fault began or ended, the server stopped or started) or ``"client"`` (the subscriber's side
            opened or ended a connection).
    """

    revision: int
    after_item: int = 0
    by: Disturber = "network"


@dataclass(frozen=True)
class Replacement:
    """The store was replaced by another one (wiped, or restored from a backup).

    Attributes:
        after_entry: how many entries of the log belong to the stores before; the next one is the first of the
            new store, whose revisions begin again.
        after_item: how many items of the stream had come when it happened.
    """

    after_entry: int
    after_item: int = 0


@dataclass(frozen=True)
class Delivered:
    """Changes that were delivered together, in one call."""

    events: tuple[TraceEvent, ...]


@dataclass(frozen=True)
class Bookmarked:
    """A bookmark: everything up to ``revision`` was said to be delivered."""

    revision: int


@dataclass(frozen=True)
class Resynced:
    """A snapshot: the whole state of the subscription at ``revision``."""

    revision: int
    kvs: Mapping[str, str]


@dataclass(frozen=True)
class Disconnected:
    """The subscriber learned that its link had broken. Information only."""


@dataclass(frozen=True)
class Failed:
    """The subscriber was informed that it can no longer be served: the obligation to deliver ends."""

    error: str


@dataclass(frozen=True)
class UnplacedDelivery:
    """Changes that were delivered together, and at least one of them (a ``LogEvent``) showed no revision."""

    events: tuple[TraceEvent | LogEvent, ...]


@dataclass(frozen=True)
class UnplacedSnapshot:
    """A snapshot that showed no revision."""

    kvs: Mapping[str, str]


StreamItem = Delivered | Bookmarked | Resynced | Disconnected | Failed | UnplacedDelivery | UnplacedSnapshot

_UNPLACED = frozenset((UnplacedDelivery, UnplacedSnapshot))


@dataclass(frozen=True)
class Trace:
    """What a store committed, and what was delivered of it to a subscriber, in order.

    Its attributes are the members of the file format, which is why there are so many.

    Attributes:
        promise: what the subscriber was promised, see ``promises.py``.
        filter: what is subscribed.
        start_revision_exclusive: what the subscriber already had; the first change that must arrive comes after it.
        log: what the store committed (the oracle), revisions rising.
        stream: what was delivered, in order.
        quiet_at_end: False if the run was stopped before things were quiet, so that a missing tail proves nothing.
        compactions: what the store compacted, and when.
        id: a name for reports.
        initial: the state of the store just before the first revision of the log, for the keys of the filter.
            None where it is not known: ``guarantees.py`` says how a snapshot is then judged.
        replacements: where one store ends and the next begins.
        start_not_before: the subscription began somewhere from here to ``start_revision_exclusive``, and where is put
            where the subscriber says; None if it began exactly there.
        owed_until: what the log has above it must arrive only if the subscriber got that far; None if all of it must.
        log_from: ``"server"``; or ``"acknowledgements"`` for a store that keeps no log: then ``log`` is empty, and what
            was made is inferred from ``writes``, the n-th of which is revision n + 1.
        writes: the writes with their outcomes, in the order of issue; None if they were not recorded. Beside a server's
            log, all outcomes must have been known before the log was read.
        inconclusive: why nothing that is kept was put to the test, such as that there was no subscription; None if it
            was.
        client_failed: how the client under test, or the other writer, broke down, such as a program that crashed. It
            then proves nothing, whatever was delivered before; None if both worked.
        held: what the store held when the outcomes of ``writes`` were known; None if it was not read.
        disturbances: for ``"comes-back"``: the last disturbance by each side, or all of them; None if nobody knows.

    Raises:
        FormatError: the parts do not fit together; the message says which.
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
    start_not_before: int | None = None
    owed_until: int | None = None
    log_from: LogSource = "server"
    writes: tuple[Acknowledgement, ...] | None = None
    held: Held | None = None
    inconclusive: str | None = None
    client_failed: str | None = None
    disturbances: tuple[Disturbance, ...] | None = None

    def __post_init__(self) -> None:
        if self.promise not in PROMISES:
            raise wrong(("promise",), " or ".join(f'"{name}"' for name in PROMISES), self.promise)
        self._check_log()
        self._check_source()

    @property
    def unplaced(self) -> bool:
        """Whether something in the stream shows no revision."""
        return any(type(item) in _UNPLACED for item in self.stream)

    @property
    def called(self) -> str:
        """What messages call an entry of the log: a store that keeps none has no revisions, but writes are counted."""
        return "revision" if self.log_from == "server" else "write"

    def number_of(self, revision: int) -> int:
        """The number that a revision has in messages; the first write that was asked for is revision 2."""
        return revision if self.log_from == "server" else revision - 1

    def name_of(self, revision: int) -> str:
        """What messages call this revision."""
        return f"{self.called} {self.number_of(revision)}"

    def _check_source(self) -> None:
        start, earliest = self.start_revision_exclusive, self.start_not_before
        if earliest is not None and earliest > start:
            expected = f"at most start_revision_exclusive, {start}"
            raise wrong(("start_not_before",), expected, earliest)
        if self.log_from not in LOG_SOURCES:
            raise wrong(("log_from",), " or ".join(f'"{name}"' for name in LOG_SOURCES), self.log_from)
        if self.log_from == "acknowledgements":
            if self.writes is None:
                raise FormatError('the trace has no "acknowledgements", and its log is to come from them')
            if self.log:
                raise FormatError('log must be empty where log_from is "acknowledgements"', ("log",))
        if self.replacements and (self.log_from == "acknowledgements" or self.unplaced):
            raise FormatError(
                "replacements need a server's log and a revision with everything in the stream",
                ("replacements",),
            )

    def _check_log(self) -> None:
        borders = {replacement.after_entry for replacement in self.replacements}
        for index, (one, two) in enumerate(itertools.pairwise(self.replacements)):
            if two.after_entry < one.after_entry or two.after_item < one.after_item:
                at: Path = ("replacements", index + 1)
                raise FormatError(f"{location(at)} happened before the one in front of it", at)
        last: int | None = None
        for index, entry in enumerate(self.log):
            if last is not None and entry.revision <= last and index not in borders:
                path: Path = ("log", index, "revision")
                raise FormatError(
                    f"{location(path)} must be above the revision before it, {last}, not {entry.revision}",
                    path,
                )
            last = entry.revision

    @classmethod
    def from_json(cls, document: object, path: Path = ()) -> Trace:
        """The trace that a decoded JSON object describes.

        ``path`` is where the object stands in its document (``("cases", 3)``), for the errors.

        Raises:
            FormatError: a member is missing or is not what the format says; it carries the member's path.
        """
        from pytest_netfault.checks.trace_json import read_trace

        return read_trace(document, path)

    def to_json(self) -> dict[str, Any]:
        """The trace as plain objects, ready for ``json.dumps``."""
        from pytest_netfault.checks.trace_json import dump_trace

        return dump_trace(self)
