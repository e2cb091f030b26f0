"""One play of a test as data, and what is suspicious about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.storm.places import Place

__all__ = ["NOTHING", "Error", "Kind", "Play", "Remains", "Suspicion", "suspicion"]

Kind = Literal["hang", "undeclared error", "wrong result", "leak"]


@dataclass(frozen=True)
class Remains:
    """What is there in the process when a test is over: threads by name, and numbers of the rest.

    >>> Remains(("pool",), 4, 9, 0).beyond(Remains((), 3, 9, 0))
    Remains(threads=('pool',), sockets=1, descriptors=0, tasks=0)
    """

    threads: tuple[str, ...] = ()
    sockets: int = 0
    descriptors: int = 0
    tasks: int = 0

    def beyond(self, other: Remains) -> Remains:
        """What is here more than there."""
        left = list(other.threads)
        more = []
        for name in self.threads:
            if name in left:
                left.remove(name)
            else:
                more.append(name)
        return Remains(
            # As many more as there are: one that ended and one that began beside each other are no growth.
            tuple(sorted(more)[: max(0, len(self.threads) - len(other.threads))]),
            max(0, self.sockets - other.sockets),
            max(0, self.descriptors - other.descriptors),
            max(0, self.tasks - other.tasks),
        )

    def __bool__(self) -> bool:
        return bool(self.threads or self.sockets or self.descriptors or self.tasks)

    def kinds(self) -> tuple[str, ...]:
        """What grew, in words that are the same each time.

        >>> Remains(("Thread-12 (work)", "Thread-7 (work)"), 2, 0, 0).kinds()
        ('thread Thread-N (work)', 'socket')
        """
        named = sorted({re.sub(r"\d+", "N", name) for name in self.threads})
        rest = [
            ("socket", self.sockets),
            ("descriptor", self.descriptors),
            ("asyncio task", self.tasks),
        ]
        return (*(f"thread {name}" for name in named), *(word for word, count in rest if count))


NOTHING = Remains()


@dataclass(frozen=True)
class Error:
    """What a play raised.

    Attributes:
        type: the class, with its module.
        message: what it says, in one line.
        where: the module and the function that raised it, outside of the standard library and of pytest.
        line: where in the test, as ``file:line``.
        asserts: an assertion of the test has failed.
        allowed: it is one that the suite allows, or comes of nothing else.
        phase: in which part of the test: ``"setup"``, ``"call"`` or ``"teardown"``.
    """

    type: str
    message: str
    where: str
    line: str
    asserts: bool = False
    allowed: bool = False
    phase: Literal["setup", "call", "teardown"] = "call"


@dataclass(frozen=True)
class Play:
    """How one play went.

    Attributes:
        seconds: how long it took.
        struck: whether the fault met its place.
        error: what it raised first, if it did; of an error that is not allowed, that one.
        skipped: why the test skipped itself.
        hung: the function where it stood when its time was over; empty if it ended by itself.
        hung_line: where that was in the test.
        grown: what it has left beyond what was there before.
        excused: why it says nothing: the machine stood still, a session was interrupted.
    """

    seconds: float = 0.0
    struck: bool = False
    error: Error | None = None
    skipped: str = ""
    hung: str = ""
    hung_line: str = ""
    grown: Remains = NOTHING
    excused: str = ""

    @property
    def passed(self) -> bool:
        """Whether the test passed, and ended by itself."""
        return self.error is None and not self.skipped and not self.hung and not self.excused


@dataclass(frozen=True)
class Suspicion:
    """What is wrong with a play; a finding once it repeats.

    Attributes:
        kind: which of the four.
        cause: what is the same wherever it comes of the same: the error and who raised it, the function that hung.
        line: where in the test.
        detail: what happened this time, in a line.
    """

    kind: Kind
    cause: str
    line: str
    detail: str


def suspicion(play: Play, place: Place, left_by_plain: Remains = NOTHING) -> Suspicion | None:
    """What is wrong with a play under a fault, if anything.

    Args:
        play: of the test, with the fault.
        place: where that struck.
        left_by_plain: what the test leaves as it is.
    """
    if play.excused or play.skipped or not play.struck:
        return None
    if play.hung:
        detail = f"did not end in {play.seconds:.0f} s, in {play.hung}"
        return Suspicion("hang", f"in {play.hung}", play.hung_line, detail)
    if play.error is not None and not play.error.allowed:
        error = play.error
        said = f"{error.type}: {error.message}" if error.message else error.type
        if error.asserts:
            return Suspicion("wrong result", f"at {error.line}", error.line, said)
        after = " in teardown" if error.phase == "teardown" else ""
        return Suspicion("undeclared error", f"{error.type} out of {error.where}{after}", error.line, said)
    grown = play.grown.beyond(left_by_plain)
    if grown:
        kinds = ", ".join(grown.kinds())
        return Suspicion(
            "leak", f"{kinds} after {place.fault}", "", f"left {kinds}, more than without a fault"
        )
    return None
