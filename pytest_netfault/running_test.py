"""What the test that runs has done to the network so far.

Rules of this file: counts and what is kept for a report; nothing is judged, and nothing grows with the number of inputs
that a property-based test tries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_netfault.faults import Fault
    from pytest_netfault.report.terminal import LinkStory
    from pytest_netfault.surroundings import Verdict
    from pytest_netfault.watching import Outcome, WatchedLink

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

    def properties(self, seed: int) -> Iterator[tuple[str, str]]:
        """What stands beside a test in JUnit files: short texts."""
        if not (self.links or self.faults or self.verdicts):
            return
        yield "seed", str(seed)
        yield "links", str(self.links)
        yield "faults", str(self.faults)
        yield "met", str(self.met)
        if self.verdicts:
            worst = min(self.verdicts, key=lambda verdict: _WORST_FIRST.index(verdict.outcome))
            yield "verdict", worst.outcome
            yield "examples", str(sum(verdict.examples for verdict in self.verdicts))
            yield "inconclusive", str(sum(verdict.inconclusive for verdict in self.verdicts))
            if worst.schedule:
                yield "schedule", worst.schedule
        if self.artifact:
            yield "artifact", self.artifact
