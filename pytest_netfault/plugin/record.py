"""The record of the running test: what it has done to the network so far.

Nothing in it grows with the number of inputs that a property-based test tries.
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

    from pytest_netfault.control import Link
    from pytest_netfault.plugin.network import AppliedFault, FaultOutcome
    from pytest_netfault.proof.host import ProofVerdict
    from pytest_netfault.report.network_story import LinkStory

__all__ = ["FaultGroup", "RunningTest"]

# A failing example of a property-based test is the last that was tried; a plain test has a link or two.
_LINKS_KEPT = 8
_WORST_FIRST = ("broken", "inconclusive", "unfinished", "kept")


@dataclass
class FaultGroup:
    """Faults that are judged together.

    Attributes:
        last: the newest of them.
        faults: how many they are.
        met: how many of them were seen to meet traffic.
        excused: how many may have met some unseen.
    """

    last: FaultOutcome
    faults: int = 0
    met: int = 0
    excused: int = 0


@dataclass
class RunningTest:
    """What the test that runs has done so far.

    Attributes:
        item: the test.
        began: when, ``time.monotonic()`` in seconds.
        passed: whether its call phase has passed.
        over: whether it is torn down.
        crash: the traceback of the proxy, if it has crashed during the test.
        without: why it was skipped for want of a server.
        artifact: where its files are.
        links: how many it has opened.
        faults: how many it has applied.
        groups: those of them that are over.
        recent: its newest links; of those that are closed, what they saw.
        healed: the faults that were in force when its call phase had ended, and were healed by the plugin.
        verdicts: how its proofs ended.
        examples: the schedules that they played.
        inconclusive: those of them that proved nothing.
        proof_faults: the faults of its proofs.
        proof_faults_that_met_traffic: those of them that met traffic.
    """

    item: pytest.Item
    began: float
    passed: bool = False
    over: bool = False
    crash: str = ""
    without: str = ""
    artifact: str = ""
    links: int = 0
    faults: int = 0
    groups: dict[object, FaultGroup] = field(default_factory=dict)
    recent: deque[Link | LinkStory] = field(default_factory=lambda: deque(maxlen=_LINKS_KEPT))
    healed: list[AppliedFault] = field(default_factory=list)
    verdicts: list[ProofVerdict] = field(default_factory=list)
    examples: int = 0
    inconclusive: int = 0
    proof_faults: int = 0
    proof_faults_that_met_traffic: int = 0

    @property
    def nodeid(self) -> str:
        """Its name."""
        return str(self.item.nodeid)

    @property
    def attempt(self) -> int:
        """Which run of this test it is; pytest-rerunfailures counts them on the item."""
        return int(getattr(self.item, "execution_count", 1))

    @property
    def faults_that_met_traffic(self) -> int:
        """How many of its faults that are over met traffic."""
        return sum(group.met for group in self.groups.values())

    def settled(self, outcome: FaultOutcome) -> None:
        """Count what became of a fault."""
        group = self.groups.setdefault(outcome.group, FaultGroup(outcome))
        group.last = outcome
        group.faults += 1
        group.met += outcome.met
        group.excused += outcome.excused

    def met_nothing(self) -> list[FaultGroup]:
        """The groups of faults of which none has met traffic, seen or unseen."""
        return [group for group in self.groups.values() if not group.met and not group.excused]

    def judged(self, verdict: ProofVerdict) -> tuple[Path, ...]:
        """Record how a proof ended; return the files of an earlier one that is no longer reported.

        Of the many inputs of a property-based test only the last of each outcome is: of losses that is the smallest.
        """
        self.examples += verdict.examples
        self.inconclusive += verdict.inconclusive
        self.proof_faults += verdict.faults
        self.proof_faults_that_met_traffic += verdict.faults_that_met_traffic
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
        yield "faults", str(self.faults + self.proof_faults)
        yield "met", str(self.faults_that_met_traffic + self.proof_faults_that_met_traffic)
        if self.without:
            yield "skipped", printable(self.without)
        if self.verdicts:
            worst = min(self.verdicts, key=_rank)
            yield "verdict", worst.verdict
            yield "examples", str(self.examples)
            yield "inconclusive", str(self.inconclusive)
            if worst.verdict != "kept":
                yield "reason", printable(worst.summary.partition("\n")[0])
            if worst.schedule:
                yield "schedule", worst.schedule
        if self.artifact:
            yield "artifact", self.artifact


def _alike(one: ProofVerdict, other: ProofVerdict) -> bool:
    return one.generated and (one.call, one.verdict) == (other.call, other.verdict)


def _rank(verdict: ProofVerdict) -> int:
    """The worst verdict first; an input that Hypothesis rejected is no verdict on the test, if there are others."""
    rejected = verdict.generated and verdict.verdict == "inconclusive"
    return len(_WORST_FIRST) if rejected else _WORST_FIRST.index(verdict.verdict)
