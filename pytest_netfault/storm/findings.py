"""Findings: what repeats, grouped by its cause."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_netfault.common.printable import printable
from pytest_netfault.common.wording import counted
from pytest_netfault.storm.places import Place
from pytest_netfault.storm.play import Kind

__all__ = ["Finding", "Group", "command_for", "group_lines", "grouped"]

_WIDTH = 100
_TESTS_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """Something wrong with one test at one place, which repeats.

    Attributes:
        kind: a hang, an undeclared error, a wrong result or a leak.
        cause: what is the same for all findings of one cause.
        nodeid: of the item with the place in its name.
        test: of the test as it is.
        place: where the fault struck, as it is written in the name of the item.
        what: the type of the exchange there, if it is known.
        line: where in the test.
        detail: what happened, in a line.
        times: in how many plays it did.
        plays: of how many.
        known: whether the baseline names it.
        folder: where the timeline is, if it is kept.
    """

    kind: Kind
    cause: str
    nodeid: str
    test: str
    place: str
    what: str
    line: str
    detail: str
    times: int
    plays: int
    known: bool = False
    folder: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What findings of one cause have in common."""
        return (self.kind, self.cause)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for reports that travel between processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The finding that :meth:`to_json` wrote."""
        return cls(**data)

    def lines(self) -> list[str]:
        """For the report of the item."""
        place = Place.parse(self.place)
        where = place.in_words(self.what) if place is not None else self.place
        lines = [
            f"{self.kind}: {self.detail}",
            f"where: {where}",
            f"how sure: {self.times} of {counted(self.plays, 'play')}; without the fault it passes",
        ]
        if self.line:
            lines.append(f"line of the test: {self.line}")
        if self.folder:
            lines.append(f"timeline: {self.folder}")
        return [printable(line) for line in lines]


@dataclass(frozen=True)
class Group:
    """All findings of one cause.

    Attributes:
        findings: the smallest place first.
    """

    findings: tuple[Finding, ...]

    @property
    def smallest(self) -> Finding:
        """The one that is easiest to understand."""
        return self.findings[0]

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that show it."""
        return tuple(dict.fromkeys(one.test for one in self.findings))

    @property
    def known(self) -> bool:
        """Whether the baseline names it."""
        return self.smallest.known


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """The findings by their causes: what is new first, then by kind and by how many places show it."""
    by_cause: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        by_cause.setdefault(one.key, []).append(one)
    groups = [Group(tuple(sorted(members, key=_size))) for members in by_cause.values()]
    return sorted(
        groups, key=lambda one: (one.known, one.smallest.kind, -len(one.findings), one.smallest.cause)
    )


def _size(finding: Finding) -> tuple[Any, ...]:
    place = Place.parse(finding.place)
    return (-finding.times / finding.plays, place.size if place is not None else (), finding.nodeid)


def command_for(nodeid: str, options: Sequence[str] = ()) -> str:
    """One command that repeats a finding.

    >>> command_for("tests/test_a.py::test_b[storm: up 3 rst]")
    "pytest 'tests/test_a.py::test_b[storm: up 3 rst]' --netfault-storm"
    """
    return " ".join(["pytest", shlex.quote(nodeid), "--netfault-storm", *map(shlex.quote, options)])


def group_lines(group: Group, options: Sequence[str] = (), near: Callable[[str], str] = str) -> list[str]:
    """One cause in the summary of a session.

    Args:
        group: the findings of it.
        options: what the command that repeats it needs besides.
        near: makes an id one that the command takes where pytest was started.
    """
    first = group.smallest
    tests = group.tests
    known = " (known)" if group.known else ""
    head = f"{first.kind}{known}: {first.cause}, at {counted(len(group.findings), 'place')} of "
    head += counted(len(tests), "test")
    place = Place.parse(first.place)
    lines = textwrap.wrap(printable(head), _WIDTH, subsequent_indent="    ", break_long_words=False)
    body = [first.detail]
    body.append(f"smallest: {first.test}, {place.in_words(first.what) if place is not None else first.place}")
    body.append(f"sure: {first.times} of {first.plays}" + (f", {first.line}" if first.line else ""))
    if len(tests) > 1:
        others = [test for test in tests if test != first.test]
        more = f" and {len(others) - _TESTS_NAMED} more" if len(others) > _TESTS_NAMED else ""
        body.append(f"also: {', '.join(others[:_TESTS_NAMED])}{more}")
    if first.folder:
        body.append(f"timeline: {first.folder}")
    body.append(command_for(near(first.nodeid), options))
    return lines + [f"    {printable(line)}" for line in body]
