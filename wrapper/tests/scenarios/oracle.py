"""Was anything lost, duplicated, invented? Pure: what was delivered to a subscriber, and what the store committed.

The rules, the same for every scenario:

* the revisions of `Changes` are strictly ascending;
* each carries exactly what the store committed at that revision, and the right previous values;
* a revision that was skipped lies inside a gap that was reported to the subscriber (`Resynced`), or it is lost;
* a `Snapshot` or `Resynced` carries exactly the state at its revision;
* in the end the subscriber holds what a read gives.

A store that was replaced begins a new history: `epochs` are the histories in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime_config import ABSENT, Changes, Item, Resynced, Snapshot, Undecodable, Updated

Epoch = Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True)
class Judgement:
    """`lost` and `duplicated` are revisions; `resyncs` the reasons of the gaps; `wrong` everything else, in words."""

    lost: tuple[int, ...] = ()
    duplicated: tuple[int, ...] = ()
    resyncs: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong)


@dataclass
class _Reader:
    """Where the subscriber is: in which history, up to which revision, and what it holds."""

    epochs: Sequence[Epoch]
    at: int = 0
    revision: int = 0
    held: dict[str, Any] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    duplicated: list[int] = field(default_factory=list)
    resyncs: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def epoch(self) -> Epoch:
        return self.epochs[self.at]

    def whole(self, item: Snapshot | Resynced) -> None:
        expected = state_at(self.epoch, item.revision)
        if dict(item.values) != expected:
            self.wrong.append(
                f"{type(item).__name__} at {item.revision} has {_brief(dict(item.values))}, not {_brief(expected)}"
            )
        self.held, self.revision = dict(item.values), item.revision

    def resynced(self, item: Resynced) -> None:
        self.resyncs.append(item.reason)
        if item.reason == "store_replaced":
            if self.at + 1 < len(self.epochs):
                self.at += 1
            else:
                self.wrong.append(
                    f"a resync at {item.revision} says that the store was replaced, which it was not"
                )
        elif item.revision < self.revision:
            self.wrong.append(f"a resync went back from {self.revision} to {item.revision}")
        if item.after_revision > self.revision and item.reason != "store_replaced":
            self.wrong.append(
                f"a resync bridges from {item.after_revision}, but {self.revision} was delivered last"
            )
        before = dict(self.held)
        self.whole(item)
        for change in item.changes:
            if isinstance(change, Updated):
                before[change.key.name] = change.new
            else:
                before.pop(change.key.name, None)
        if before != self.held:
            self.wrong.append(
                f"the difference that came with the resync at {item.revision} does not lead to its values"
            )

    def changes(self, item: Changes) -> None:
        if item.revision <= self.revision:
            self.duplicated.append(item.revision)
            return
        self.lost += [one for one in sorted(self.epoch) if self.revision < one < item.revision]
        got = {
            change.key.name: change.new if isinstance(change, Updated) else None for change in item.changes
        }
        committed = self.epoch.get(item.revision)
        if got != committed:
            self.wrong.append(
                f"revision {item.revision} is {_brief(committed)}, and was delivered as {_brief(got)}"
            )
        for change in item.changes:
            name = change.key.name
            if change.previous != self.held.get(name, ABSENT):
                self.wrong.append(f"previous of {name} at {item.revision} is {_brief(change.previous)}")
            if isinstance(change, Updated):
                self.held[name] = change.new
            else:
                self.held.pop(name, None)
        self.revision = item.revision


def state_at(epoch: Epoch, revision: int) -> dict[str, Any]:
    """What a store held at a revision.

    >>> state_at({2: {"a": 1}, 3: {"a": None, "b": 2}}, 2), state_at({2: {"a": 1}, 3: {"a": None, "b": 2}}, 9)
    ({'a': 1}, {'b': 2})
    """
    held: dict[str, Any] = {}
    for one in sorted(epoch):
        if one <= revision:
            held.update(epoch[one])
    return {name: value for name, value in held.items() if value is not None}


def judge(items: Iterable[Item], epochs: Sequence[Epoch], final: Mapping[str, Any]) -> Judgement:
    """Compare what was delivered with the store's histories and a final read.

    >>> history = {5: {"a": 1}, 6: {"a": 2}}
    >>> judge([Snapshot({}, 4), Resynced("compacted", {"a": 2}, (), 4, 6)], [history], {"a": 2}).wrong
    ('the difference that came with the resync at 6 does not lead to its values',)
    """
    reader = _Reader(epochs)
    for number, item in enumerate(items):
        if isinstance(item, Snapshot):
            if number:
                reader.wrong.append(f"a snapshot at {item.revision} in the middle")
            reader.whole(item)
        elif isinstance(item, Resynced):
            reader.resynced(item)
        elif isinstance(item, Changes):
            reader.changes(item)
        elif isinstance(item, Undecodable):
            reader.wrong.append(f"{item.key.name} could not be decoded at {item.revision}")
    reader.lost += [one for one in sorted(reader.epoch) if one > reader.revision]
    if reader.at + 1 < len(epochs):
        reader.wrong.append("no resync said that the store was replaced")
    if reader.held != dict(final):
        reader.wrong.append(f"it ends with {_brief(reader.held)}, and a read gives {_brief(final)}")
    return Judgement(tuple(reader.lost), tuple(reader.duplicated), tuple(reader.resyncs), tuple(reader.wrong))


def _brief(value: object) -> str:
    return f"{value!r:.120}"
