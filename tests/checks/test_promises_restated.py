"""``latest-per-key`` and ``comes-back`` against a second statement of the same rules, by brute force.

Each guarantee is a question about all that came before. What shows no revision is put in each place that the log has
for it: a subscriber that is right in one of them is right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Disturbance,
    Failed,
    Filter,
    LogEvent,
    Promise,
    Resynced,
    Revision,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)

KEYS = ("r.a", "r.b", "x")
BEFORE = -1  # the state of a key before the log begins
UNKNOWN = "?"  # the value of a key before a log that says nothing of it


class Log:
    """What the store committed, as questions."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.events = [TraceEvent(*event, entry.revision) for entry in trace.log for event in entry.events]
        early = bool(trace.log) and trace.log[0].revision <= trace.start_revision_exclusive
        self.whole = early or trace.start_revision_exclusive <= 1 or trace.initial is not None

    def inside(self, key: str) -> bool:
        return self.trace.filter.matches(key)

    def value(self, key: str, place: int) -> str | None:
        if place >= 0:
            event = self.events[place]
            return event.value if event.type == "put" else None
        initial = (self.trace.initial or {}).get(key) if self.inside(key) else None
        return initial if self.whole else UNKNOWN

    def last(self, key: str, revision: int) -> int:
        """The place of a key's state at a revision."""
        return max(
            (n for n, one in enumerate(self.events) if one.key == key and one.revision <= revision),
            default=BEFORE,
        )

    def places(self, key: str, value: str | None) -> list[int]:
        """Everywhere that a key has this value."""
        found = [n for n, one in enumerate(self.events) if one.key == key and self.value(key, n) == value]
        return [*([BEFORE] if self.value(key, BEFORE) in (value, UNKNOWN) else []), *found]

    def known_keys(self) -> set[str]:
        return {one.key for one in self.events if self.inside(one.key)}

    def wrong(self, snapshot: Resynced) -> bool:
        state = {key: self.value(key, self.last(key, snapshot.revision)) for key in self.known_keys()}
        for key, value in (self.trace.initial or {}).items():
            if self.inside(key):
                state.setdefault(key, value)
        told = dict(snapshot.kvs)
        if any(not self.inside(key) for key in told):
            return True
        unsure = (
            {key for key in {*told, *state} if state.get(key, UNKNOWN) == UNKNOWN}
            if not self.whole
            else set()
        )
        mine = {key: value for key, value in state.items() if value is not None and key not in unsure}
        return mine != {key: value for key, value in told.items() if key not in unsure}


class Step(NamedTuple):
    """One thing that came, with a place for each key of which it says something; None: it never had that state."""

    kind: str  # event, snapshot (with its revision), states (without), bookmark, failed
    item: int
    places: dict[str, int | None]
    revision: int = 0


def everywhere(log: Log) -> Iterator[list[Step]]:
    """The stream with everything in each of its places."""
    options: list[list[Step]] = []
    for index, item in enumerate(log.trace.stream):
        if isinstance(item, (Delivered, UnplacedDelivery)):
            for event in item.events:
                value = event.value if event.type == "put" else None
                if isinstance(event, TraceEvent):
                    known = TraceEvent(event.type, event.key, value, event.revision)
                    places: list[int | None] = [n for n, one in enumerate(log.events) if one == known]
                elif log.trace.promise == "comes-back":
                    places = [one for one in log.places(event.key, value) if one >= 0]
                else:
                    places = list(log.places(event.key, value))
                options.append([Step("event", index, {event.key: one}) for one in places or [None]])
        elif isinstance(item, Resynced):
            options.append([Step("snapshot", index, {}, item.revision)])
        elif isinstance(item, UnplacedSnapshot):
            keys = sorted({*item.kvs, *log.known_keys()})
            each = [log.places(key, item.kvs.get(key)) or [None] for key in keys]
            together = itertools.product(*each)
            options.append([Step("states", index, dict(zip(keys, one, strict=True))) for one in together])
        elif isinstance(item, Bookmarked):
            options.append([Step("bookmark", index, {}, item.revision)])
        elif isinstance(item, Failed):
            options.append([Step("failed", index, {})])
    assume(math.prod(map(len, options)) <= 500)
    for steps in itertools.product(*options):
        yield list(steps)


class PerKey:
    """``latest-per-key``, of a stream in which everything has its place."""

    def __init__(self, log: Log, steps: list[Step]) -> None:
        self.log, self.trace, self.steps = log, log.trace, steps
        before = self.trace.start_not_before
        self.earliest = self.trace.start_revision_exclusive if before is None else before

    def told(self, key: str, until: int) -> int | None:
        """The last state of a key that any of the first steps has shown."""
        for step in reversed(self.steps[:until]):
            if step.kind == "snapshot":
                return self.log.last(key, step.revision)
            place = step.places.get(key)
            if place is not None:
                return place
        return None

    def shown(self, key: str, until: int) -> bool:
        """Whether the last of the first steps that says something of a key says it of this very key."""
        for step in reversed(self.steps[:until]):
            if step.kind == "snapshot":
                item = self.trace.stream[step.item]
                assert isinstance(item, Resynced)
                return key in item.kvs
            if step.places.get(key) is not None:
                return True
        return False

    def lacks(self, key: str, revision: int, until: int) -> bool:
        told = self.told(key, until)
        has = self.log.last(key, self.trace.start_revision_exclusive) if told is None else told
        wanted = self.log.last(key, revision)
        if self.log.value(key, wanted) is None and not self.shown(key, until):
            return False
        value = self.log.value(key, has)
        return has < wanted and (value == UNKNOWN or value != self.log.value(key, wanted))

    def broken(self) -> set[str]:
        found: set[str] = set()
        for number, step in enumerate(self.steps):
            if step.kind == "event":
                found |= self.of_event(number, step)
            elif step.kind == "snapshot":
                item = self.trace.stream[step.item]
                assert isinstance(item, Resynced)
                found |= {"resync"} if self.log.wrong(item) else set()
                if any(
                    self.goes_back(key, self.log.last(key, step.revision), number)
                    for key in self.log.known_keys()
                ):
                    found.add("ordered")
            elif step.kind == "states":
                for key, place in step.places.items():
                    if place is None or not self.log.inside(key):
                        found.add("resync")
                    elif self.goes_back(key, place, number):
                        found.add("ordered")
            elif step.kind == "bookmark" and any(
                self.lacks(key, step.revision, number) for key in self.log.known_keys()
            ):
                found.add("bookmarkable")
        until = 99 if self.trace.owed_until is None else self.trace.owed_until
        served = not any(step.kind == "failed" for step in self.steps)
        behind = any(self.lacks(key, until, len(self.steps)) for key in self.log.known_keys())
        if self.trace.quiet_at_end and served and behind:
            found.add("complete")
        return found

    def goes_back(self, key: str, place: int, number: int) -> bool:
        told = self.told(key, number)
        return place < (self.log.last(key, self.earliest) if told is None else told)

    def of_event(self, number: int, step: Step) -> set[str]:
        ((key, place),) = step.places.items()
        if place is None:
            return {"phantom"}
        if not self.log.inside(key):
            return {"filter"}
        told = self.told(key, number)
        found = {"before_start"} if place < self.log.last(key, self.earliest) else set()
        return found | ({"ordered"} if told is not None and place < told else set())


class ComesBack:
    """``comes-back``, of a stream in which everything has its place."""

    def __init__(self, log: Log, steps: list[Step]) -> None:
        self.log, self.trace, self.steps = log, log.trace, steps
        self.came = [
            (step.item, place)
            for step in steps
            if step.kind == "event"
            for key, place in step.places.items()
            if place is not None and log.inside(key)
        ]

    def revision(self, place: int) -> int:
        return self.log.events[place].revision

    def possible(self) -> bool:
        """Whether nothing that shows no revision stands where it was not committed yet when it came."""
        return not any(
            isinstance(self.trace.stream[item], UnplacedDelivery)
            and item < one.after_item
            and self.revision(place) > one.revision
            for item, place in self.came
            for one in self.trace.disturbances or ()
        )

    def missing(self) -> set[int]:
        newest = max((place for _, place in self.came), default=-1)
        notes = self.trace.disturbances
        begin = 0
        if notes is None:
            begin = newest + 1
        elif notes:
            last = max(notes, key=lambda one: (one.revision, one.after_item))
            back = [
                place
                for item, place in self.came
                if item >= last.after_item and self.revision(place) > last.revision
            ]
            if back:
                begin = back[0] + 1
            else:
                network = max((one.revision for one in notes if one.by == "network"), default=-1)
                begin = max(
                    [newest + 1, *(n + 1 for n, e in enumerate(self.log.events) if e.revision <= network)]
                )
        until = 99 if self.trace.owed_until is None else self.trace.owed_until
        there = {place for _, place in self.came}
        return {
            place
            for place, event in enumerate(self.log.events)
            if place >= begin
            and self.trace.start_revision_exclusive < event.revision <= until
            and self.log.inside(event.key)
            and place not in there
            and not self.discharged(place)
        }

    def discharged(self, place: int) -> bool:
        for step in self.steps:
            if step.kind == "snapshot" and self.revision(place) <= step.revision:
                return True
            shown = step.places.get(self.log.events[place].key) if step.kind == "states" else None
            if shown is not None and shown >= place:
                return True
        return False

    def broken(self) -> set[str]:
        found: set[str] = set()
        for step in self.steps:
            if step.kind == "event":
                ((key, place),) = step.places.items()
                found |= {"phantom"} if place is None else set() if self.log.inside(key) else {"filter"}
            item = self.trace.stream[step.item]
            if isinstance(item, Resynced) and self.log.wrong(item):
                found.add("resync")
            if isinstance(item, UnplacedSnapshot):
                never = any(step.places[key] is None or not self.log.inside(key) for key in item.kvs)
                found |= {"resync"} if never else set()
        served = not any(step.kind == "failed" for step in self.steps)
        if self.trace.quiet_at_end and served and self.missing():
            found.add("complete")
        return found


@st.composite
def traces(draw: st.DrawFn, promise: Promise, *, blind: bool) -> Trace:
    """Up to five revisions, and streams that are nearly right."""
    log: list[Revision] = []
    revision = draw(st.integers(1, 2))
    for _ in range(draw(st.integers(0, 5))):
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True))
        changes = [draw(st.sampled_from([("put", "1"), ("put", "2"), ("delete", None)])) for _ in keys]
        log.append(
            Revision(
                revision,
                tuple(LogEvent(kind, key, value) for key, (kind, value) in zip(keys, changes, strict=True)),  # type: ignore[arg-type]
            )
        )
        revision += draw(st.integers(1, 2))
    flat = [TraceEvent(*event, entry.revision) for entry in log for event in entry.events]
    start = draw(st.integers(0, 3))
    subscription = Filter(draw(st.sampled_from(["", "r."])))
    initial: dict[str, str] | None = draw(
        st.sampled_from([{}, {"r.a": "1"}] if blind else [{}, {"r.a": "1"}, None])
    )
    revisions = st.integers(0, revision)

    def kvs(at: dict[str, int]) -> dict[str, str]:
        state = dict(initial or {})
        for event in flat:
            if event.revision <= at[event.key]:
                state.pop(event.key, None)
                if event.value is not None:
                    state[event.key] = event.value
        return {key: value for key, value in state.items() if subscription.matches(key)}

    pool = st.sampled_from(flat) if flat else st.nothing()
    odd = st.builds(TraceEvent, st.just("put"), st.sampled_from(KEYS), st.sampled_from("123"), revisions)
    stream: list[Any] = [Delivered((event,)) for event in flat if draw(st.integers(0, 3))]
    for _ in range(draw(st.integers(0, 3))):
        what = draw(st.sampled_from(["swap", "event", "bookmark", "snapshot", "states", "failed"]))
        where = draw(st.integers(0, len(stream)))
        at = draw(revisions)
        if what == "swap":
            stream[where : where + 2] = reversed(stream[where : where + 2])
        elif what == "event":
            stream.insert(where, Delivered(tuple(draw(st.lists(pool | pool | odd, max_size=2)))))
        elif what == "bookmark":
            stream.insert(where, Bookmarked(at))
        elif what == "snapshot":
            wrong = draw(st.integers(0, 5)) == 0
            stream.insert(
                where, Resynced(at, {**kvs(dict.fromkeys(KEYS, at)), **({"r.b": "1"} if wrong else {})})
            )
        elif what == "states" and blind:
            stream.insert(where, UnplacedSnapshot(kvs({key: draw(revisions) for key in KEYS})))
        elif what == "failed" and draw(st.booleans()):
            stream.insert(where, Failed("gone"))
    if blind:
        stream = [
            UnplacedDelivery(tuple(LogEvent(*event[:3]) for event in item.events))
            if isinstance(item, Delivered) and item.events and draw(st.booleans())
            else item
            for item in stream
        ]
    notes = st.builds(
        Disturbance, revisions, st.integers(0, len(stream)), st.sampled_from(["network", "client"])
    )
    # Nothing arrives before it is committed: what had come when a revision was noted lies at or below it.
    disturbances = draw(st.none() | st.lists(notes, max_size=2)) if promise == "comes-back" else None
    return Trace(
        promise,
        subscription,
        start,
        tuple(log),
        tuple(stream),
        draw(st.integers(0, 5)) > 0,
        initial=initial,
        start_not_before=draw(st.none() | st.integers(0, start)) if promise == "latest-per-key" else None,
        owed_until=draw(st.none() | st.integers(0, 9)),
        disturbances=None if disturbances is None else tuple(disturbances),
    )


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(traces("latest-per-key", blind=False))
def test_latest_per_key_is_judged_as_it_is_restated(trace: Trace) -> None:
    log = Log(trace)
    (steps,) = everywhere(log)
    assert set(judge_trace(trace).broken) == PerKey(log, steps).broken()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(traces("latest-per-key", blind=True))
def test_who_keeps_latest_per_key_in_one_of_all_places_keeps_it(trace: Trace) -> None:
    log = Log(trace)
    right = any(not PerKey(log, steps).broken() for steps in everywhere(log))
    assert (not judge_trace(trace).broken) is right


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(traces("comes-back", blind=False))
def test_comes_back_is_judged_as_it_is_restated(trace: Trace) -> None:
    log = Log(trace)
    (steps,) = everywhere(log)
    assert set(judge_trace(trace).broken) == ComesBack(log, steps).broken()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(traces("comes-back", blind=True))
def test_who_comes_back_in_one_of_all_places_is_right(trace: Trace) -> None:
    log = Log(trace)
    placed = [ComesBack(log, steps) for steps in everywhere(log)]
    assume(any(one.possible() for one in placed))
    right = any(one.possible() and not one.broken() for one in placed)
    assert (not judge_trace(trace).broken) is right


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(traces("latest-per-key", blind=True) | traces("comes-back", blind=True))
def test_evidence_losses_and_files_fit_the_verdict(trace: Trace) -> None:
    verdict = judge_trace(trace)
    assert {one.guarantee for one in verdict.evidence} == set(verdict.broken) == set(verdict.counts)
    assert bool(verdict.lost) <= (verdict.verdict == "broken")
    assert ("complete" in verdict.broken) <= bool(verdict.lost)
    assert Trace.from_json(trace.to_json()) == trace
    assert judge_trace(Trace.from_json(trace.to_json())).broken == verdict.broken
