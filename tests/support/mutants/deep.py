"""Clients whose mistake shows only behind a certain history: the seeded search needs hundreds of examples for each.

A `Deep` client writes down what it lives through, a letter for each thing, and makes its mistake behind a history that
its ``behind`` describes: the change that comes next is lost. Up to there it is the client without a mistake, so one
that has all of these mistakes at once, and makes none of them, shows for one play which of them would have lost
something (`Watched`); ``deep_search.py`` measures all of them with it in the same plays.

======  =====================================================================
letter  what happened
======  =====================================================================
c       it begins to connect, in order to watch
x       nobody took the connection
w       the watch has begun
p d m   a put, a delete, a transaction of several changes came
=       a put came that repeats the value which the key has
b       a beat came
H       a change was cut in the middle of its line
h       anything else was cut in the middle of its line
f r t   the connection ended in order, was reset, was silent for too long
k       its place was compacted
s Q     a snapshot was read, could not be read
o u     a write of its own was acknowledged, was not
======  =====================================================================
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from support.mutants import toy
from support.mutants.subscribers import Mutant

__all__ = ["DEEP", "Deep", "Watched", "written_down"]

_REMEMBERED = 400
# Short forms in a description: a change that came, an attempt that failed before anything came, and an end.
_SHORT = {"E": "[pdm=]", "N": "[^pdm=]", "F": "(?:cQ?[xrt]|chf)", "Z": "[frt]"}


def written_down(description: str) -> re.Pattern[str]:
    """The pattern of a description, which must match up to the change that comes.

    >>> written_down("Hf F* cw E").pattern
    'Hf(?:cQ?[xrt]|chf)*cw[pdm=]$'
    """
    text = description.replace(" ", "")
    return re.compile("".join(_SHORT.get(letter, letter) for letter in text) + "$")


class _Life(toy.RightStore):
    """The client without a mistake, which writes down what it lives through."""

    life = ""
    known: Mapping[str, str | None]

    def lived(self, letter: str) -> None:
        self.life = self.life[-_REMEMBERED:] + letter

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        try:
            super().put_many(changes)
        except OSError:
            self.lived("u")
            raise
        self.lived("o")

    def watch(self) -> None:
        self.lived("c")
        with self.connection(self.idle_seconds) as connection, connection.makefile("rb") as lines:
            request = {"op": "watch", "prefix": self.prefix, "from": self.resume_at()}
            connection.sendall(json.dumps(request).encode() + b"\n")
            for line in lines:
                if not line.endswith(b"\n"):
                    self.lived("H" if b'"rev"' in line else "h")
                    return
                self.on_message(json.loads(line))

    def goes_on(self, error: Exception | None) -> bool:
        if error is None:
            self.lived("f")
        elif isinstance(error, ConnectionRefusedError):
            self.lived("x")
        else:
            self.lived("t" if isinstance(error, TimeoutError) else "r")
        return super().goes_on(error)

    def take_snapshot(self) -> None:
        try:
            super().take_snapshot()
        except OSError:
            self.lived("Q")
            raise

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        self.lived("s")
        super().on_snapshot(revision, kvs)
        self.known = dict(kvs)

    def on_message(self, message: dict[str, Any]) -> None:
        if "watching" in message:
            self.lived("w")
        elif "beat" in message:
            self.lived("b")
        elif "compacted" in message:
            self.lived("k")
        super().on_message(message)

    def on_events(self, revision: int, changes: Any) -> None:
        if revision >= self.next:
            self.lived(self._letter(changes))
            self.known = {**self.known, **dict(changes)}
        super().on_events(revision, changes)

    def _letter(self, changes: list[tuple[str, str | None]]) -> str:
        if len(changes) > 1:
            return "m"
        key, value = changes[0]
        if value is None:
            return "d"
        return "=" if self.known.get(key) == value else "p"


class Deep(_Life, Mutant):
    """What all of these have in common: behind a certain history the next change is lost.

    Attributes:
        behind: describes the history, and the change that is lost.
    """

    behind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.pattern = written_down(cls.behind)

    pattern: ClassVar[re.Pattern[str]]

    def hand(self, delivery: Any) -> None:
        if not delivery.events or not self.pattern.search(self.life):
            super().hand(delivery)


class Watched(_Life):
    """The client without a mistake, of which is known which of the deep ones would have lost something."""

    lost: ClassVar[dict[str, set[str]]] = {}  # the names of mistakes, by the prefix that was subscribed to
    lives: ClassVar[dict[str, str]] = {}
    guard: ClassVar[threading.Lock] = threading.Lock()

    def hand(self, delivery: Any) -> None:
        if delivery.events:
            names = {name for name, kind in DEEP.items() if kind.pattern.search(self.life)}
            if names:
                with self.guard:
                    self.lost.setdefault(self.prefix, set()).update(names)
        super().hand(delivery)

    def close(self) -> None:
        super().close()
        if self.prefix:
            self.lives[self.prefix] = self.life


class TwoHalfLines(Deep):
    """A change is cut in the middle, and in the recovery again: of what it had read the rest is thrown away."""

    behind = "Hf F* cw b* Hf F* cw E"


class TwoHalfGreetings(Deep):
    """The greeting is cut in the middle twice, one after the other: it reads the next message as the greeting."""

    behind = "chf (?:c[xr])* chf F* cw E"


class SnapshotFailsTwice(Deep):
    """Its snapshot cannot be read twice: it gives up what it had and begins one change late."""

    behind = "kQ N* kQ N* s N* E"


class ResetAfterSilence(Deep):
    """A silence ends its watch, and a reset the one after it: it counts both as one, and skips one."""

    behind = "t F* cw b* r F* cw E"


class DeleteAfterTwoCuts(Deep):
    """Two watches end without a change, and then a delete comes: it knows nothing of the key any more."""

    behind = "cw b* Z F* cw b* Z F* cw d"


class RepeatAfterACut(Deep):
    """The first change after two cuts repeats a value: it takes it for what it has seen."""

    behind = "Z F* cw b* Z F* cw ="


class ManyBehindASnapshot(Deep):
    """The first change behind a snapshot is a transaction."""

    behind = "ks N* cw b* m"


class ResetTwiceInTheBacklog(Deep):
    """Twice in a row its recovery is reset after the first change."""

    behind = "Z F* cw E r F* cw E r F* cw E"


class FinAndResetAndSilence(Deep):
    """Three watches in a row end without a change, each in another way."""

    behind = (
        "(?:f F* cw b* r F* cw b* t|f F* cw b* t F* cw b* r|r F* cw b* f F* cw b* t"
        "|r F* cw b* t F* cw b* f|t F* cw b* f F* cw b* r|t F* cw b* r F* cw b* f) F* cw E"
    )


class FourCuts(Deep):
    """Four watches in a row end before a change came."""

    behind = "Z F* cw b* h? Z F* cw b* h? Z F* cw b* h? Z F* cw E"


class CompactedAfterHalfALine(Deep):
    """A change is cut in the middle, and its place is compacted when it comes back."""

    behind = "Hf F* ck N* E"


class CompactedAfterTwoCuts(Deep):
    """Its place is compacted when it comes back from a second cut before any change."""

    behind = "Z F* cw b* h? Z F* ck N* E"


class TransactionAfterAReset(Deep):
    """A transaction is the second change after a recovery from a reset in a recovery."""

    behind = "Z F* cw b* r F* cw E m"


DEEP: dict[str, type[Deep]] = {
    kind.__name__: kind for kind in Deep.__subclasses__()
}  # in the order of the file
