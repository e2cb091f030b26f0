"""A history: the operations of concurrent processes on a store, and their results, one event a line.

    {"index": 0, "process": 3, "type": "invoke", "op": "write", "value": 4}
    {"index": 1, "process": 3, "type": "ok",     "op": "write", "value": 4}

* Reading is strict: a history that breaks its own rules (a process with two operations at once, a return without an
  invocation, a process that goes on after an unknown outcome) proves nothing, and the error says which line it is.
* Events become :class:`Operation` objects with the *moments* of invocation and return: whole numbers, and one
  operation is before another exactly if its return is below the other's invocation. With ``time``, intervals
  are closed: at the same time invocations are put before returns, so that the operations overlap. Clocks are too
  coarse to decide which came first, and an order that was not observed must not refute a store.
* An operation without a return may take effect at any moment after its invocation, or never.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_netfault.checks.reading import OUTCOMES, FormatError, Outcome, decode, finite, quoted

__all__ = ["OPS", "History", "Operation"]

READS = frozenset({"read", "get"})
OPS = ("read", "write", "cas", "get", "put", "append", "delete")
_KEYED = frozenset({"get", "put", "append", "delete"})
_WITH_VALUE = frozenset({"write", "put", "append", "cas"})


@dataclass(frozen=True)
class Operation:
    """One operation of one process.

    Attributes:
        process: whose it is.
        op: one of ``OPS``.
        key: None on a register.
        value: what was asked for: the value written or appended, ``[from, to]`` of a cas, None of a read.
        answer: what a read returned.
        outcome: ``"ok"``, ``"fail"`` (certainly did not happen) or ``"info"`` (unknown, or never answered).
        compare_failed: a failed cas that saw another value than it compared with.
        invoked: the moment of invocation.
        returned: the moment of return; None if the outcome is unknown.
        lines: the lines of its two events, the second None where there is none.
    """

    process: str | int
    op: str
    key: str | int | None
    value: Any
    answer: Any
    outcome: Outcome
    compare_failed: bool
    invoked: int
    returned: int | None
    lines: tuple[int, int | None]

    def __str__(self) -> str:
        where = "" if self.key is None else f" {quoted(self.key)}"
        what = f"process {self.process}: {self.op}{where}"
        if self.op in READS:
            return f"{what} -> {quoted(self.answer)}" if self.outcome == "ok" else what
        if self.op == "cas":
            what += f" {quoted(self.value[0])} to {quoted(self.value[1])}"
        elif self.op != "delete":
            what += f" {quoted(self.value)}"
        if self.compare_failed:
            return what + " (compare failed)"
        return what + " (unknown)" if self.outcome == "info" else what


@dataclass(frozen=True)
class _Event:
    line: int
    process: str | int
    type: str
    of: dict[str, Any]
    time: float | None


@dataclass
class _Open:
    """An operation between its two events."""

    invoke: _Event
    end: _Event | None = None


@dataclass(frozen=True)
class History:
    """Operations in the order of their invocation."""

    operations: tuple[Operation, ...]

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> History:
        """Read the lines of a ``*.jsonl`` file; blank lines are skipped.

        Raises:
            FormatError: with the line, counted from 1, and what is wrong with it.
        """
        events = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                document = decode(line)
            except FormatError as error:
                raise error.at_line(number) from None
            events.append(_read_event(document, number))
        return cls(tuple(_pair(events)))

    @classmethod
    def from_events(cls, events: Iterable[object]) -> History:
        """Read events that are decoded already; "line" in an error is then the place in the list, from 1."""
        return cls(tuple(_pair([_read_event(event, number) for number, event in enumerate(events, 1)])))


def _read_event(document: object, line: int) -> _Event:
    def refuse(what: str) -> FormatError:
        return FormatError(what, line=line)

    if not isinstance(document, dict):
        raise refuse(f"an event must be an object, not {quoted(document)}")
    process = document.get("process")
    if type(process) is not int and type(process) is not str:
        raise refuse(f"process must be a number or a string, not {quoted(process)}")
    kind = document.get("type")
    if kind not in ("invoke", *OUTCOMES):
        raise refuse(f'type must be "invoke", "ok", "fail" or "info", not {quoted(kind)}')
    if "index" in document and type(document["index"]) is not int:
        raise refuse(f"index must be a whole number, not {quoted(document['index'])}")
    time = document.get("time")
    if time is not None and not finite(time):
        raise refuse(f"time must be a number of seconds, not {quoted(time)}")
    if kind == "invoke":
        op = document.get("op")
        if op not in OPS:
            raise refuse(f"op must be one of {', '.join(OPS)}, not {quoted(op)}")
        key = document.get("key")
        if key is None and op in _KEYED:
            raise refuse(f'{op} has no "key"')
        if key is not None and type(key) is not str and type(key) is not int:
            raise refuse(f"key must be a string or a whole number, not {quoted(key)}")
        if op in _WITH_VALUE and "value" not in document:
            raise refuse(f'{op} has no "value"')
        value = document.get("value")
        if op == "cas" and (not isinstance(value, list) or len(value) != 2):
            raise refuse(f"the value of a cas must be [from, to], not {quoted(value)}")
        if op == "append" and not isinstance(value, str):
            raise refuse(f"append takes a string, not {quoted(value)}")
    return _Event(line, process, kind, document, time)


def _pair(events: list[_Event]) -> Iterable[Operation]:
    """Match returns with their invocations."""
    running: dict[str | int, _Open] = {}
    retired: dict[str | int, int] = {}  # process -> the line of its unknown outcome
    opened: list[_Open] = []
    timed = [event for event in events if event.time is not None]
    if timed and len(timed) != len(events):
        line = next(event.line for event in events if event.time is None)
        raise FormatError(
            "this event has no time and others have one; give all of them one, or none", line=line
        )
    for event in events:
        current = running.get(event.process)
        if event.process in retired:
            raise FormatError(
                f"process {event.process} goes on after the unknown outcome of line {retired[event.process]}",
                line=event.line,
            )
        if event.type == "invoke":
            if current is not None:
                raise FormatError(
                    f"process {event.process} invokes while its operation of line {current.invoke.line} is open",
                    line=event.line,
                )
            running[event.process] = _Open(event)
            opened.append(running[event.process])
            continue
        if current is None:
            raise FormatError(f"process {event.process} has nothing open that could end", line=event.line)
        _check_answer(current.invoke, event)
        del running[event.process]
        current.end = event
        if event.type == "info":
            retired[event.process] = event.line
    moments = _moments(events)
    return [_operation(one, moments) for one in opened]


def _check_answer(invoke: _Event, end: _Event) -> None:
    for name in ("op", "key"):
        if name in end.of and end.of[name] != invoke.of.get(name):
            raise FormatError(
                f"{name} is {quoted(end.of[name])}, and the invoke of line {invoke.line} "
                f"says {quoted(invoke.of.get(name))}",
                line=end.line,
            )
    if end.type == "ok" and invoke.of["op"] in READS and "value" not in end.of:
        raise FormatError(f'the answer of a {invoke.of["op"]} has no "value" (null for none)', line=end.line)
    if invoke.time is not None and end.time is not None and end.time < invoke.time:
        raise FormatError(
            f"ends at {end.time}, before it began at {invoke.time} in line {invoke.line}", line=end.line
        )


def _moments(events: list[_Event]) -> dict[int, int]:
    """A moment for the event of each line, in real-time order."""
    ordered = sorted(
        events,
        key=lambda event: (
            0.0 if event.time is None else event.time,
            event.time is not None and event.type != "invoke",
        ),
    )
    return {event.line: moment for moment, event in enumerate(ordered)}


def _operation(one: _Open, moments: dict[int, int]) -> Operation:
    of, end = one.invoke.of, one.end
    outcome: Outcome = "info"
    if end is not None and end.type == "ok":
        outcome = "ok"
    elif end is not None and end.type == "fail":
        outcome = "fail"
    return Operation(
        process=one.invoke.process,
        op=of["op"],
        key=of.get("key"),
        value=None if of["op"] in READS or of["op"] == "delete" else of.get("value"),
        answer=end.of.get("value") if end is not None and outcome == "ok" and of["op"] in READS else None,
        outcome=outcome,
        compare_failed=outcome == "fail"
        and of["op"] == "cas"
        and end is not None
        and end.of.get("result") == "compare-failed",
        invoked=moments[one.invoke.line],
        returned=None if end is None or outcome == "info" else moments[end.line],
        lines=(one.invoke.line, None if end is None else end.line),
    )
