"""The text of a file, parsed into what can be judged.

The content decides the format, never the name of the file. A file with ``cases`` gives one :class:`Case` each; a
damaged case is a result like the others, so that its neighbours are not lost.

    an event as the first line      a history of operations, one event a line
    an object with ``writes``       acknowledgements
    an object with ``stream``       a trace
    an object with ``cases``        several of the last two
    a part of a proof               the trace of its loss, if it has lost something

What else a session leaves beside them (the events of links, a part of a proof that lost nothing) is known, and is
:class:`NothingToJudge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_netfault.checks.acks import Acks
from pytest_netfault.checks.history import History
from pytest_netfault.checks.locate import line_of
from pytest_netfault.checks.reading import NESTED, FormatError, Path, decode, items, location, members, quoted
from pytest_netfault.checks.trace import Trace

__all__ = ["Case", "Foreign", "NothingToJudge", "read_document"]

_EVENT = frozenset({"process", "type", "op", "index"})
_OBJECT = frozenset({"cases", "writes", "delivered", "stream", "log", "promise"})
# What a session writes as events.json, and a part of a proof as *-shard-*.json.
_EVENTS_OF_LINKS = frozenset({"nodeid", "seed", "links"})
_PART_OF_PROOF = frozenset({"call", "shard", "counted"})


@dataclass(frozen=True)
class NothingToJudge:
    """A file of ours that holds no promise.

    Attributes:
        reason: what it is, in words.
    """

    reason: str


class Foreign(FormatError):
    """A JSON document that is none of the formats: in a folder, a file of another program."""


@dataclass(frozen=True)
class Case:
    """One thing that can be judged.

    Attributes:
        id: its own name for itself, if it has one.
        number: its place among the cases of its file, from 0; None if the file is one case.
        subject: what was read, or why it cannot be.
    """

    id: str | None
    number: int | None
    subject: Trace | Acks | History | NothingToJudge | FormatError


def read_document(text: str) -> list[Case]:
    """Everything that a file holds, in order.

    Raises:
        FormatError: nothing in it can be read; with the line where that is known.
    """
    if not text.strip():
        raise FormatError("the file is empty, so that there is nothing to judge", line=1)
    if _is_history(text):
        # Not splitlines(), which also splits at characters that may stand inside a JSON string.
        return [Case(None, None, History.from_lines(text.split("\n")))]
    document = decode(text)
    try:
        if not isinstance(document, dict):
            raise Foreign(f"the document must be an object, not {quoted(document)}")
        of = members(document, ())
        if "cases" not in of:
            return [_case(of, (), None)]
        cases = items(of, "cases", ())
        if not cases:
            raise FormatError("there are no cases, so that there is nothing to judge", ("cases",))
    except FormatError as error:
        raise error.at_line(line_of(text, error.path)) from None
    except RecursionError:
        raise FormatError(NESTED, line=1) from None
    return [_case_or_error(text, one, number) for number, one in enumerate(cases)]


def _case_or_error(text: str, document: object, number: int) -> Case:
    try:
        return _case(document, ("cases", number), number)
    except FormatError as error:
        name = document.get("id") if isinstance(document, dict) else None
        damaged = error.at_line(line_of(text, error.path))
        return Case(name if isinstance(name, str) else None, number, damaged)
    except RecursionError:
        return Case(None, number, FormatError(NESTED, line=line_of(text, ("cases", number))))


def _is_history(text: str) -> bool:
    first = text.lstrip().split("\n", 1)[0]
    try:
        document = decode(first)
    except FormatError:
        return False
    return isinstance(document, dict) and bool(_EVENT & set(document)) and not _OBJECT & set(document)


def _lost_in_part(of: dict[str, Any], path: Path, number: int | None) -> Case:
    if of.get("lost") is None:
        words = "a part of a proof that lost nothing; netfault merge adds the parts up"
        return Case(None, number, NothingToJudge(words))
    at = (*path, "lost")
    trace = Trace.from_json(members(of["lost"], at).get("trace"), (*at, "trace"))
    return Case(trace.id, number, trace)


def _case(document: Any, path: Path, number: int | None) -> Case:
    of = members(document, path)
    if "writes" in of:
        acks = Acks.from_json(of, path)
        return Case(acks.id, number, acks)
    if "stream" in of or "log" in of:
        trace = Trace.from_json(of, path)
        return Case(trace.id, number, trace)
    if set(of) >= _EVENTS_OF_LINKS:
        return Case(None, number, NothingToJudge("events of links, which nothing was promised of"))
    if set(of) >= _PART_OF_PROOF:
        return _lost_in_part(of, path, number)
    raise Foreign(
        f'{location(path)} has neither "stream" (a trace) nor "writes" (acknowledgements), '
        "and its first line is not an event of a history",
        path,
    )
