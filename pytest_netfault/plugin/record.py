"""What the test that runs has done to the network so far.

Rules of this file: counts and what is kept for a report; nothing is judged, and nothing grows with the number of inputs
that a property-based test tries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_netfault.common.printable import printable

if TYPE_CHECKING:
    import pytest

    from pytest_netfault.faults import Fault
    from pytest_netfault.plugin.observed import Outcome, WatchedLink
    from pytest_netfault.proof.host import Verdict
    from pytest_netfault.report.network_story import LinkStory

__all__ = ["LINKS_KEPT", "RunningTest", "Tally"]

# A failing example of a property-based test is the last that was tried; a plain test has a link or two.
LINKS_KEPT = 8
_WORST_FIRST = ("lost", "proved nothing", "unfinished", "kept")


@dataclass
class Tally:
    """Faults that are judged together."""

    last: Outcome
    times: int = 0
    met: int = 0
    excused: int = 0


@dataclass
class RunningTest:
    """What the test that runs has done so far."""

    item: pytest.Item
    began: float
    passed: bool = False
    over: bool = False
    crash: str = ""
    artifact: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    without: str = ""  # why it was skipped for want of a server
    examples: int = 0
    inconclusive: int = 0
    proved: tuple[int, int] = (0, 0)  # faults of its proofs, and those of them that met traffic
    links: int = 0
    faults: int = 0
    recent: deque[WatchedLink | LinkStory] = field(default_factory=lambda: deque(maxlen=LINKS_KEPT))
    tallies: dict[object, Tally] = field(default_factory=dict)
    healed: list[tuple[WatchedLink, Fault]] = field(default_factory=list)  # by us, when the test had returned

    @property
    def attempt(self) -> int:
        """Which run of this test it is; pytest-rerunfailures counts them on the item."""
        return int(getattr(self.item, "execution_count", 1))

    @property
    def met(self) -> int:
        return sum(tally.met for tally in self.tallies.values())

    def judged(self, verdict: Verdict) -> tuple[Path, ...]:
        """Take down how a proof ended; return the files of an earlier one that is not told any more.

        Of the many inputs of a property-based test only the last of each outcome is: of losses that is the smallest.
        """
        self.examples += verdict.examples
        self.inconclusive += verdict.inconclusive
        self.proved = (self.proved[0] + verdict.faults, self.proved[1] + verdict.hits)
        earlier = [one for one in self.verdicts if verdict.generated and _alike(one, verdict)]
        for one in earlier:
            self.verdicts.remove(one)
            verdict = replace(verdict, times=one.times + 1)
        self.verdicts.append(verdict)
        if verdict.files:
            self.artifact = str(verdict.files[0].parent)
        return tuple(file for one in earlier for file in one.files)

    def properties(self, seed: int) -> Iterator[tuple[str, str]]:
        """What stands beside a test in JUnit files: short texts."""
        if not (self.links or self.faults or self.verdicts or self.without):
            return
        yield "seed", str(seed)
        yield "links", str(self.links)
        yield "faults", str(self.faults + self.proved[0])
        yield "met", str(self.met + self.proved[1])
        if self.without:
            yield "skipped", printable(self.without)
        if self.verdicts:
            worst = min(self.verdicts, key=_rank)
            yield "verdict", worst.outcome
            yield "examples", str(self.examples)
            yield "inconclusive", str(self.inconclusive)
            if worst.outcome != "kept":
                yield "reason", printable(worst.told.partition("\n")[0])
            if worst.schedule:
                yield "schedule", worst.schedule
        if self.artifact:
            yield "artifact", self.artifact


def _alike(one: Verdict, other: Verdict) -> bool:
    return one.generated and (one.call, one.outcome) == (other.call, other.outcome)


def _rank(verdict: Verdict) -> int:
    """The worst verdict first; an input that Hypothesis rejected is no verdict on the test, if there are others."""
    rejected = verdict.generated and verdict.outcome == "proved nothing"
    return len(_WORST_FIRST) if rejected else _WORST_FIRST.index(verdict.outcome)
