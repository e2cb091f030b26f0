"""A run as a picture: lanes, marks on one time axis, and the three sentences that say what was lost.

This is what is drawn, before anybody decides how: ``html.py`` makes a page of it, and it goes to JSON and back, so
that it can be drawn again from a file.

>>> written = Mark("e1", "written", 0.0, 0.5, "put 'a' = 'v1'", tone="good")
>>> picture = Timeline("A loss", (Lane("written", "Written"),), (written,))
>>> Timeline.from_json(picture.to_json()) == picture
True

Rules of this file:

* Frozen data, pure functions, only the standard library.
* Times are seconds since the beginning of the picture. A mark that ends when it starts is a moment; one whose end is
  None is open: nobody knows whether, or when, it was over.
* A picture that exists can be drawn: names are unique, and what refers to a lane or a mark refers to one that is there.
* A picture that exists can be shown: its texts are printable, whatever keys, values and errors they were made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from pytest_netfault.common.printable import printable, printable_lines

__all__ = ["Card", "Flow", "Lane", "LaneKind", "Mark", "Shape", "Timeline", "Tone", "number_marks", "packed"]

LaneKind = Literal["steps", "calls", "revisions", "faults", "connections", "deliveries"]
Shape = Literal["bar", "diamond", "dot", "cross", "flag", "cut"]
Tone = Literal["plain", "good", "unknown", "bad", "fault", "lost", "culprit"]
CardKind = Literal["written", "broke", "missing"]

# Written into each document, so that a later version can tell what it reads.
FORMAT = 1


@dataclass(frozen=True)
class Lane:
    """One row of the picture, or a few rows where its marks overlap.

    Attributes:
        id: what marks name.
        name: what people read.
        kind: how it is drawn.
        rows: how many rows its marks need.
    """

    id: str
    name: str
    kind: LaneKind = "steps"
    rows: int = 1


@dataclass(frozen=True)
class Mark:
    """One thing that happened: a call, a connection, a fault, a revision, a delivery.

    Attributes:
        id: unique, and the anchor of its row in the page: ``report.html#e7``.
        lane: the lane's ``id``.
        start: seconds.
        end: the same; equal to ``start`` for a moment, None if it stays open.
        label: what happened, in a few words.
        short: the same where there is no room: a number.
        tone: what it means: ``"lost"`` never arrived, ``"culprit"`` is the fault that lost it.
        shape: how it is drawn.
        row: which row of its lane, from 0.
        known: of an open mark, until when it was certainly going on; None if nobody saw it end.
        shade: the time in which a fault changed the traffic, drawn through all lanes; None for none.
        details: more of it, as pairs of a name and a text.
    """

    id: str
    lane: str
    start: float
    end: float | None
    label: str
    short: str = ""
    tone: Tone = "plain"
    shape: Shape = "bar"
    row: int = 0
    known: float | None = None
    shade: tuple[float, float] | None = None
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Flow:
    """The way of one update from mark to mark: written, committed, delivered.

    Attributes:
        marks: the names of the marks, in order.
        lost: it ended on the way.
        wrong: it went this way once too often, or not as one.
    """

    marks: tuple[str, ...]
    lost: bool = False
    wrong: bool = False


@dataclass(frozen=True)
class Card:
    """One of the sentences above the picture.

    Attributes:
        kind: what was written, where the network broke, or what never arrived.
        title: a few words, in large letters.
        text: a sentence or two.
        source: the line of a program that it is about, or "".
        mark: the mark that it is about, or "".
    """

    kind: CardKind
    title: str
    text: str
    mark: str = ""
    source: str = ""


@dataclass(frozen=True)
class Timeline:
    """A whole picture.

    Attributes:
        headline: the outcome in one sentence.
        lanes: from top to bottom.
        marks: in the order of their start.
        flows: the ways of the updates.
        cards: what a stranger should read first.
        focus: which part is in view first, or None for all of it.
        facts: what else is worth knowing, as pairs of a name and a text: the seed, the broken guarantees.
        paste: the Python that plays it again.
        command: the command that does.

    Raises:
        ValueError: it cannot be drawn; the message names the mark.
    """

    headline: str
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    flows: tuple[Flow, ...] = ()
    cards: tuple[Card, ...] = ()
    focus: tuple[float, float] | None = None
    facts: tuple[tuple[str, str], ...] = ()
    paste: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        for name, value in (
            ("headline", printable(self.headline)),
            ("lanes", tuple(replace(lane, name=printable(lane.name)) for lane in self.lanes)),
            ("marks", tuple(map(_shown, self.marks))),
            (
                "cards",
                tuple(
                    replace(
                        card,
                        title=printable(card.title),
                        text=printable_lines(card.text),
                        source=printable(card.source),
                    )
                    for card in self.cards
                ),
            ),
            ("facts", tuple((printable(name), printable_lines(text)) for name, text in self.facts)),
            ("paste", printable_lines(self.paste)),
            ("command", printable(self.command)),
        ):
            object.__setattr__(self, name, value)
        lanes = {lane.id for lane in self.lanes}
        if len(lanes) != len(self.lanes):
            raise ValueError("two lanes have the same id")
        known = {mark.id for mark in self.marks}
        if len(known) != len(self.marks):
            raise ValueError("two marks have the same id")
        for mark in self.marks:
            _check(mark, lanes)
        named = [one for flow in self.flows for one in flow.marks] + [card.mark for card in self.cards]
        for name in named:
            if name and name not in known:
                raise ValueError(f"there is no mark {name!r}")

    @property
    def ends(self) -> float:
        """When the last thing happened, in seconds."""
        ends = (max(mark.start, mark.end or 0.0, mark.known or 0.0) for mark in self.marks)
        return max(ends, default=0.0)

    def to_json(self) -> dict[str, Any]:
        """The picture as plain objects, ready for ``json.dumps``."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: object) -> Timeline:
        """The picture that :meth:`to_json` wrote, also after a way through a file.

        Raises:
            ValueError: it is not one.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f'a timeline must be a JSON object with "format": {FORMAT}, not {data!r:.100}')
        try:
            return cls(
                headline=data["headline"],
                lanes=tuple(Lane(**lane) for lane in data["lanes"]),
                marks=tuple(_mark(mark) for mark in data["marks"]),
                flows=tuple(
                    Flow(tuple(flow["marks"]), flow["lost"], flow.get("wrong", False))
                    for flow in data["flows"]
                ),
                cards=tuple(Card(**card) for card in data["cards"]),
                focus=_pair(data["focus"]),
                facts=tuple((name, text) for name, text in data["facts"]),
                paste=data["paste"],
                command=data.get("command", ""),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no timeline: {type(error).__name__}: {error}") from error


def number_marks(marks: Iterable[Mark]) -> tuple[dict[str, str], tuple[Mark, ...]]:
    """The marks in the order of their start, named ``e1``, ``e2``, ...; and the new name of each old one.

    >>> later, first = Mark("b", "x", 2.0, 2.0, "later"), Mark("a", "x", 1.0, 1.0, "first")
    >>> number_marks([later, first])[0]
    {'a': 'e1', 'b': 'e2'}
    """
    ordered = sorted(marks, key=lambda mark: mark.start)
    names = {mark.id: f"e{number}" for number, mark in enumerate(ordered, start=1)}
    return names, tuple(replace(mark, id=names[mark.id]) for mark in ordered)


def packed(marks: Iterable[Mark], *, at_most: int = 8) -> tuple[tuple[Mark, ...], int]:
    """Marks of one lane in rows, so that none covers another; and how many rows that takes.

    Beyond ``at_most`` rows they cover each other all the same: a picture has to end somewhere.

    >>> one, two, three = (Mark(str(n), "x", n, n + 1.5, "") for n in range(3))
    >>> [mark.row for mark in packed([one, two, three])[0]]
    [0, 1, 0]
    """
    free: list[float] = []
    placed = []
    for mark in sorted(marks, key=lambda mark: mark.start):
        row = next((row for row, since in enumerate(free) if since <= mark.start), len(free))
        row = min(row, at_most - 1)
        if row == len(free):
            free.append(0.0)
        last = mark.known if mark.end is None else mark.end
        free[row] = max(free[row], math.inf if last is None else last)
        placed.append(replace(mark, row=row))
    return tuple(placed), max(len(free), 1)


def _shown(mark: Mark) -> Mark:
    """The mark with texts that can be shown; the same object if it has them, as nearly all do."""
    label, short = printable(mark.label), printable(mark.short)
    details = tuple((printable(name), printable_lines(text)) for name, text in mark.details)
    if (label, short, details) == (mark.label, mark.short, mark.details):
        return mark
    return replace(mark, label=label, short=short, details=details)


def _check(mark: Mark, lanes: set[str]) -> None:
    if mark.lane not in lanes:
        raise ValueError(f"mark {mark.id!r} is in lane {mark.lane!r}, which is not there")
    times = [mark.start, *(time for time in (mark.end, mark.known) if time is not None), *(mark.shade or ())]
    if not all(math.isfinite(time) for time in times):
        raise ValueError(f"mark {mark.id!r} must have finite times, not {times}")
    if mark.end is not None and mark.end < mark.start:
        raise ValueError(f"mark {mark.id!r} ends at {mark.end}, before it starts at {mark.start}")
    for value, valid in ((mark.tone, get_args(Tone)), (mark.shape, get_args(Shape))):
        if value not in valid:
            raise ValueError(f"mark {mark.id!r}: {value!r} is none of {', '.join(valid)}")


def _mark(data: dict[str, Any]) -> Mark:
    details = tuple((name, text) for name, text in data["details"])
    return Mark(**{**data, "details": details, "shade": _pair(data["shade"])})


def _pair(data: Any) -> tuple[float, float] | None:
    if data is None:
        return None
    start, end = data
    return start, end
