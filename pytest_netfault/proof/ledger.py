"""What a proof has counted so far, which of its runs is worth keeping, and where its progress is reported."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.results import Progress, Report, Stage
from pytest_netfault.proof.tally import Tally
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import complexity

__all__ = ["Ledger"]


class Ledger:
    """The book of one proof.

    Attributes:
        tally: what was counted so far.
        sought: what the first failing run broke; empty before there is one.
        worth_keeping: the run that is kept if the proof is interrupted: the smallest failing one, or else the last.
        interrupted: how ``max_seconds`` ended the proof in the midst of an example, in words.
        began: ``time.monotonic()`` at the start.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._smallest: Schedule | None = None
        self._client_failure: str | None = None
        self.tally = Tally()
        self.sought: frozenset[str] = frozenset()
        self.worth_keeping: Run | None = None
        self.interrupted: str | None = None
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the proof has taken so far."""
        return time.monotonic() - self.began

    def count(self, run: Run, *, inconclusive: bool | None = None) -> None:
        """Count an example."""
        self.tally = self.tally.plus(run, inconclusive=inconclusive)
        self._client_failure = self._client_failure or run.client_failed

    def count_beside(self, run: Run) -> None:
        """Count a run that was played beside the examples and is none of them."""
        self.tally = self.tally.plus_beside(run)

    def count_unjudged(self, schedules: int) -> None:
        """Count schedules with a dead flow that there was no time for."""
        self.tally = replace(self.tally, unjudged_dead_flows=schedules)

    def report(self, **more: Any) -> Report:
        """What was tried so far."""
        report = self.tally.report(seconds=self.seconds, seed=self._settings.seed)
        return replace(report, interrupted=self.interrupted, client_failure=self._client_failure, **more)

    def played(self, stage: Stage, done: int, of: int | None, run: Run, **more: Any) -> None:
        """Report a play; ``more`` is what `Progress` has besides."""
        failed = not self.sought.isdisjoint(run.broken) if self.sought else bool(run.broken)
        if failed and (self._smallest is None or complexity(run.schedule) < complexity(self._smallest)):
            self._smallest = run.schedule
            self.worth_keeping = run
        if self._smallest is None:
            self.worth_keeping = run
        broken = bool(run.broken)
        self.tell(Progress(stage, done, of, self.seconds, run.schedule, broken, self._smallest, **more))

    def tell(self, progress: Progress) -> None:
        """Report progress."""
        if self._settings.progress is not None:
            self._settings.progress(progress)
