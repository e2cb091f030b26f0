"""Clients with one mistake each, as they are made in the field. The proof kit must find every one of them.

Each class changes one method of `RightStore` and says in its first line what the mistake is. `MUTANTS` lists them;
``expects`` names guarantees of which one must be among those that are found broken.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from pytest_netfault import Delivery, Event, Fault, WriteRejected, verify
from support.mutants import toy


class Mutant(toy.RightStore):
    """What all mutants share.

    Attributes:
        expects: guarantees of which one must be found broken.
        faults: what to draw, where the mistake needs a fault that is not drawn by default.
        promise: what it promises, and does not keep.
    """

    expects: tuple[str, ...] = ("reliable", "complete")
    faults: tuple[type[Fault] | Fault, ...] = verify.ALL
    promise: Any = "every-event"


class ResumesFromNow(Mutant):
    """Watches again without a revision."""

    def resume_at(self) -> int | None:
        return None

    def on_events(self, revision: int, changes: Any) -> None:
        self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in changes)))


class RemembersTheRevisionOnlyAfterTheFirstEvent(Mutant):
    """Resumes behind its last event, and from now if there was none yet."""

    got_one = False

    def resume_at(self) -> int | None:
        return self.next if self.got_one else None

    def on_events(self, revision: int, changes: Any) -> None:
        super().on_events(max(revision, self.next) if not self.got_one else revision, changes)
        self.got_one, self.next = True, revision + 1


class RepeatsTheLastRevision(Mutant):
    """Resumes at the last revision that it got, instead of behind it."""

    expects = ("unique",)

    def on_events(self, revision: int, changes: Any) -> None:
        self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in changes)))
        self.next = revision


class SkipsOneRevision(Mutant):
    """Resumes two behind the last revision that it got."""

    def resume_at(self) -> int | None:
        return self.next + 1

    def on_events(self, revision: int, changes: Any) -> None:
        self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in changes)))
        self.next = revision + 1


class TrustsTheHeader(Mutant):
    """Moves its place to the revision in the header of a new watch, before the older events have come."""

    header = 0

    def on_watching(self, revision: int) -> None:
        self.header = revision

    def resume_at(self) -> int | None:
        return max(self.next, self.header + 1)


class TrustsTheBeat(Mutant):
    """Takes the revision of a progress message for that of a change which it has seen: the next one is dropped."""

    def on_message(self, message: dict[str, Any]) -> None:
        if "beat" in message:
            self.next = max(self.next, message["beat"] + 2)
        super().on_message(message)


class IgnoresCompaction(Mutant):
    """When its place was compacted it goes on from now, and tells nobody."""

    def on_compacted(self, revision: int) -> None:
        self.next = revision + 1


class RetriesACompactedRevisionForEver(Mutant):
    """When its place was compacted it tries the same place again and again."""

    def on_compacted(self, revision: int) -> None:
        pass


class EndsOnCompaction(Mutant):
    """When its place was compacted its thread dies."""

    ended = False

    def on_compacted(self, revision: int) -> None:
        self.ended = True

    def goes_on(self, error: Exception | None) -> bool:
        return not self.ended


class TakesARefusedWatchForOne(Mutant):
    """When the answer to its watch is a refusal it waits for events all the same."""

    def on_compacted(self, revision: int) -> None:
        self.next = sys.maxsize


class ResyncsWithoutDeletes(Mutant):
    """Its snapshot after a gap is laid over the old state, so that deleted keys live on."""

    expects = ("resync",)

    def on_events(self, revision: int, changes: Any) -> None:
        super().on_events(revision, changes)
        self.state.update({key: value for key, value in changes if value is not None})

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        super().on_snapshot(revision, {**self.state, **kvs})


class ResyncsWithAnOldRevision(Mutant):
    """Watches from behind the revision that it had, not behind that of the snapshot."""

    expects = ("unique", "ordered", "bookmarkable", "before_start")

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        super().on_snapshot(revision, kvs)
        self.next = max(self.next - 2, 1)

    def on_events(self, revision: int, changes: Any) -> None:
        self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in changes)))
        self.next = revision + 1


class SnapshotsOnEachReconnect(Mutant):
    """Takes a snapshot whenever it comes back, although nothing was compacted: what happened between is skipped."""

    started = False

    def watch(self) -> None:
        if self.started:
            self.take_snapshot()
        self.started = True
        super().watch()


class AdvancesBeforeTheCallback(Mutant):
    """Moves its place when a change comes in, and hands it over later: what it holds when the link breaks is gone."""

    held: Delivery | None = None

    def watch(self) -> None:
        self.held = None
        super().watch()

    def on_message(self, message: dict[str, Any]) -> None:
        held, self.held = self.held, None
        if held is not None:
            self.hand(held)
        super().on_message(message)

    def on_events(self, revision: int, changes: Any) -> None:
        if revision >= self.next:
            self.next = revision + 1
            self.held = Delivery(events=tuple(Event(key, value, revision) for key, value in changes))


class SplitsTransactions(Mutant):
    """Hands over the changes of one transaction one by one."""

    expects = ("atomic",)

    def on_events(self, revision: int, changes: Any) -> None:
        if revision >= self.next:
            for key, value in changes:
                self.hand(Delivery(events=(Event(key, value, revision),)))
            self.next = revision + 1


class CountsChangesAsRevisions(Mutant):
    """Moves its place by the number of changes, as if each had a revision of its own."""

    def on_events(self, revision: int, changes: Any) -> None:
        if revision >= self.next:
            self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in changes)))
            self.next = revision + len(changes)


class DropsWhenItsQueueIsFull(Mutant):
    """Keeps at most two changes of one read, and drops the rest."""

    burst = 0

    def on_message(self, message: dict[str, Any]) -> None:
        self.burst = self.burst + 1 if "events" in message else 0
        if self.burst <= 2:
            super().on_message(message)
        elif "events" in message:
            self.next = message["rev"] + 1


class DropsRepeatedValues(Mutant):
    """Takes a change to the value that a key has already for a repeat, and drops it."""

    def on_events(self, revision: int, changes: Any) -> None:
        fresh = [(key, value) for key, value in changes if value is None or self.state.get(key) != value]
        self.state.update({key: value or "" for key, value in changes})
        if fresh:
            super().on_events(revision, fresh)
        else:
            self.next = max(self.next, revision + 1)


class IgnoresDeletes(Mutant):
    """Hands over puts only."""

    def on_events(self, revision: int, changes: Any) -> None:
        puts = [(key, value) for key, value in changes if value is not None]
        if puts:
            super().on_events(revision, puts)
        else:
            self.next = max(self.next, revision + 1)


class TakesADeleteForAnEmptyValue(Mutant):
    """Hands over a delete as a put of nothing."""

    expects = ("phantom",)

    def on_events(self, revision: int, changes: Any) -> None:
        super().on_events(revision, [(key, value or "") for key, value in changes])


class TakesFinForTheEnd(Mutant):
    """When the server's side ends in order it takes the subscription for finished."""

    def goes_on(self, error: Exception | None) -> bool:
        return error is not None


class EndsWithAnyError(Mutant):
    """Its thread ends with the first error."""

    def goes_on(self, error: Exception | None) -> bool:
        return error is None


class GivesUpAfterThreeTries(Mutant):
    """Tries three times to come back, and then no more."""

    tries = 0

    def goes_on(self, error: Exception | None) -> bool:
        self.tries += 1
        return self.tries < 3

    def on_watching(self, revision: int) -> None:
        self.tries = 0


class ForgetsItsPlaceOnTheSecondCut(Mutant):
    """Comes back to its place once; after a second cut without an event in between it begins from now."""

    cuts = 0

    def resume_at(self) -> int | None:
        self.cuts += 1
        return self.next if self.cuts <= 2 else None

    def on_events(self, revision: int, changes: Any) -> None:
        self.cuts = 1
        self.next = min(self.next, revision)
        super().on_events(revision, changes)


class TakesHalfALineForAWhole(Mutant):
    """Skips what was cut in the middle, as if it had been read."""

    def watch(self) -> None:
        with self.connection(self.idle_seconds) as connection, connection.makefile("rb") as lines:
            connection.sendall(
                json.dumps({"op": "watch", "prefix": self.prefix, "from": self.resume_at()}).encode() + b"\n"
            )
            for line in lines:
                if not line.endswith(b"\n") and b'"rev"' in line:
                    self.next += 1
                    return
                self.on_message(json.loads(line))


class NoticesNoSilence(Mutant):
    """Has no time limit on its watch: a flow that died without a word is never given up."""

    idle_seconds = None


class WatchesOneKey(Mutant):
    """Watches the prefix as if it were shorter: the neighbouring name space comes too."""

    expects = ("filter", "resync")  # so is the snapshot that it takes after a compaction

    def watch(self) -> None:
        self.prefix = self.prefix.removesuffix(".")
        super().watch()


class SnapshotOfTheNeighbour(Mutant):
    """Reads its snapshot with a wrong end of the prefix."""

    expects = ("resync",)

    def take_snapshot(self) -> None:
        reply = self.request({"op": "get", "prefix": self.prefix.removesuffix(".")})
        self.on_snapshot(reply["rev"], reply["kvs"])


class BookmarksTooEarly(Mutant):
    """Says "everything up to here" with the header of a new watch, while older events are still to come."""

    expects = ("bookmarkable",)

    def on_watching(self, revision: int) -> None:
        self.hand(Delivery(bookmark=revision))


class DeliversInReverse(Mutant):
    """Hands over the changes of one transaction backwards."""

    expects = ("ordered",)

    def on_events(self, revision: int, changes: Any) -> None:
        super().on_events(revision, list(reversed(changes)))


class RetriesWritesBlindly(Mutant):
    """Sends a write again when no answer came, though it may have been applied."""

    expects = ("writes.duplicate",)

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        try:
            super().put_many(changes)
        except OSError:
            super().put_many(changes)


class CallsATimeoutARejection(Mutant):
    """Says "certainly not applied" when no answer came."""

    expects = ("writes.phantom",)

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        try:
            super().put_many(changes)
        except OSError as error:
            raise WriteRejected("timed out") from error


class AcknowledgesTooEarly(Mutant):
    """Says "done" when the request was sent, without waiting for the answer."""

    expects = ("writes.lost",)

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            super().put_many(changes)


class IsDeafAfterAnOutage(Mutant, toy.ComesBackStore):
    """Connects again after an outage, and forgets what it had subscribed to."""

    expects = ("complete",)
    promise = "comes-back"
    subscribed = False

    def watch(self) -> None:
        if self.subscribed:
            self.prefix = "nobody."
        super().watch()

    def on_watching(self, revision: int) -> None:
        self.subscribed = True


class HearsHalfAfterAnOutage(Mutant, toy.ComesBackStore):
    """After an outage two readers share its connection, and one of them is nobody's: every second message is lost."""

    expects = ("complete",)
    promise = "comes-back"
    watches = messages = 0

    def on_watching(self, revision: int) -> None:
        self.watches += 1

    def on_events(self, revision: int, changes: Any) -> None:
        self.messages += 1
        if self.watches < 2 or self.messages % 2:
            super().on_events(revision, changes)


class LosesTheLastValueOfAKey(Mutant, toy.LatestPerKeyStore):
    """After an outage it looks which keys are new and which are gone, and not at the values of those that it knows."""

    expects = ("complete",)
    promise = "latest-per-key"

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        super().on_snapshot(revision, {**kvs, **{key: self.state[key] for key in kvs if key in self.state}})


class TellsAnOldValueOfAKey(Mutant, toy.LatestPerKeyStore):
    """After an outage it tells what it had remembered of each key behind what it has read anew."""

    expects = ("ordered", "complete")
    promise = "latest-per-key"

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        remembered = dict(self.state)
        super().on_snapshot(revision, kvs)
        for key, value in remembered.items():
            self.tell(key, value)


MUTANTS: dict[str, type[Mutant]] = {
    kind.__name__: kind
    for kind in Mutant.__subclasses__()  # in the order of the file
}
