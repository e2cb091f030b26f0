"""The items of a storm: a test at one place, ``test_x[storm: up 3 rst]``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.storm.places import Place

__all__ = [
    "Errand",
    "Found",
    "Sibling",
    "StandIn",
    "StormItem",
    "Wish",
    "item_name",
    "sibling_in",
    "sibling_of",
    "stand_in",
    "wishes",
]

_NAME = re.compile(r"(.*?)(-|\[)storm: ([^\]]+)\]", re.DOTALL)


class Sibling(pytest.Item):
    """Stands for the next test while a test is played again: fixtures of its module and wider stay."""

    def runtest(self) -> None:
        """Never run."""


class Errand(Sibling):
    """Something that is done with a test, within everything that plugins put around the run of an item.

    Attributes:
        do: does it.
    """

    do: Callable[[], None]

    @classmethod
    def with_test(cls, original: pytest.Item, do: Callable[[], None]) -> Errand:
        """For one test, whose marks hold for it as well."""
        assert original.parent is not None
        errand: Errand = cls.from_parent(original.parent, name=original.name)
        errand.own_markers[:] = original.own_markers
        errand.do = do
        return errand


class StandIn(Sibling):
    """Stands for items of a storm that are not made yet.

    Attributes:
        original: their test.
    """

    original: pytest.Item


def stand_in(original: pytest.Item, words: Iterable[str]) -> StandIn:
    """For the items of a test that have these words in their names."""
    assert original.parent is not None
    made: StandIn = StandIn.from_parent(original.parent, name=original.name)
    made.original = original
    made.own_markers[:] = original.own_markers
    made.keywords.update({mark.name: mark for mark in original.own_markers})
    made.extra_keyword_matches.update(words)
    return made


class Found(Exception):
    """A finding; its text is what the report shows."""


class StormItem(pytest.Item):
    """A test at one place. It is played through the item of the test itself.

    Attributes:
        original: the item of the test.
        place: where the fault strikes.
        planned: how many places of that test are played; 0 if this one was asked for by name.
    """

    original: pytest.Item
    place: Place
    planned: int

    @classmethod
    def at(cls, original: pytest.Item, place: Place, planned: int = 0) -> StormItem:
        """The item of a test at a place."""
        assert original.parent is not None
        item: StormItem = cls.from_parent(original.parent, name=item_name(original.name, place))
        item.original, item.place, item.planned = original, place, planned
        item.own_markers[:] = original.own_markers
        item.keywords.update({mark.name: mark for mark in original.own_markers})
        item.extra_keyword_matches.update({"storm", *str(place).split()})
        return item

    def runtest(self) -> None:
        """Played by the plugin instead."""
        raise NotImplementedError("an item of a storm is played by the plugin")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What the report shows."""
        if isinstance(excinfo.value, Found):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where the test is."""
        path, line, domain = self.original.reportinfo()
        return path, line, item_name(domain, self.place)


def sibling_of(item: pytest.Item) -> Sibling:
    """Stands for a test beside this one."""
    assert item.parent is not None
    return sibling_in(item.parent)


def sibling_in(parent: pytest.Collector) -> Sibling:
    """Stands for a test below this node: of a session, only its own fixtures stay."""
    made: Sibling = Sibling.from_parent(parent, name="netfault-storm")
    return made


def item_name(name: str, place: Place) -> str:
    """The name of a test at a place.

    >>> item_name("test_a", Place(1, "up", 3, "rst")), item_name("test_a[x]", Place(1, "up", 3, "rst"))
    ('test_a[storm: up 3 rst]', 'test_a[x-storm: up 3 rst]')
    """
    return f"{name[:-1]}-storm: {place}]" if name.endswith("]") else f"{name}[storm: {place}]"


@dataclass(frozen=True)
class Wish:
    """An item that somebody asks for by name: on the command line, or because it failed last time.

    Attributes:
        path: the file.
        names: what stands behind it in the id of the test, ``"TestA::test_x"``.
        place: the place.
    """

    path: Path
    names: str
    place: Place

    def is_of(self, item: pytest.Item) -> bool:
        """Whether it is a place of this test."""
        return item.nodeid.partition("::")[2] == self.names and item.path == self.path


def wishes(base: Path, texts: Iterable[str]) -> list[Wish]:
    """What the ids among the texts ask for.

    Args:
        base: where relative paths begin.
        texts: arguments of the command line, or ids.

    >>> [first, second] = wishes(Path("/"), ["a.py::b[storm: up 3 rst]", "a.py::b[x-storm: up 1 fin]"])
    >>> first.names, str(first.place), second.names
    ('b', 'up 3 rst', 'b[x]')
    """
    found = []
    for text in texts:
        path, _colons, names = text.partition("::")
        match = _NAME.fullmatch(names)
        place = Place.parse(match[3]) if match is not None else None
        if match is not None and place is not None:
            name = match[1] + ("]" if match[2] == "-" else "")
            found.append(Wish((base / path).resolve(), name, place))
    return found
