"""The result of a proof, as data: `Kept`, `Lost` or `Nothing`; and the two assertions that ``verify`` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.common.wording import counted
from pytest_netfault.faults import Cut
from pytest_netfault.report.timeline import Timeline
from pytest_netfault.schedules.schedule import Schedule

__all__ = [
    "Kept",
    "Lost",
    "Nothing",
    "Progress",
    "ProgressCallback",
    "ProvedNothing",
    "Report",
    "Result",
    "Stage",
    "UpdateLost",
]


@dataclass(frozen=True)
class Report:
    """What was tried while nothing was lost.

    Attributes:
        examples: schedules that were played; in a sweep the places that were tried.
        inconclusive: those of them that prove nothing: no subscription came about, or things had not come to rest; in
            a sweep the places where the cut never fired.
        faults_that_met_traffic: faults that met bytes, an ending or a connection; a restart or a pause of the server is
            one too. Also as ``cuts_that_hit_traffic``.
        wall_seconds: how long all of it took.
        writes_acknowledged: how many writes were acknowledged; deletes of absent keys do not count.
        seed: draws the same schedules again.
        gave_up: examples in which the subscriber was notified that it can no longer be served.
        not_closed: examples in which the client's ``close()`` did not return within ``settle`` seconds.
        dead_flows: how often a flow died without a word and the client found out. These schedules are played beside
            the examples and are not among them, unless nothing else was asked for.
        unjudged_dead_flows: how many of those schedules ``max_seconds`` did not leave the time for.
        holes: in a sweep, the cuts that never fired: the connection carried fewer bytes that time.
        sweep: in a sweep, what was swept, in words.
        interrupted: how ``max_seconds`` ended the proof in the midst of an example, in words; None if it did not.
        faults: faults that came into force, restarts and pauses of the server included.
        client_failures: examples in which the program of a `ProcessStore` failed; they are inconclusive.
        client_failure: how it failed the first time, in words; None if it did not.
        played_again: schedules from the example database of Hypothesis, which had lost an update and lose none any
            more. They are not among the examples.
    """

    examples: int
    inconclusive: int
    faults_that_met_traffic: int
    wall_seconds: float
    writes_acknowledged: int
    seed: int | None = None
    gave_up: int = 0
    not_closed: int = 0
    dead_flows: int = 0
    unjudged_dead_flows: int = 0
    holes: tuple[Cut, ...] = ()
    sweep: str | None = None
    interrupted: str | None = None
    faults: int = 0
    client_failures: int = 0
    client_failure: str | None = None
    played_again: int = 0

    @property
    def cuts_that_hit_traffic(self) -> int:
        """The same as ``faults_that_met_traffic``."""
        return self.faults_that_met_traffic

    def __str__(self) -> str:
        reached = self.examples - len(self.holes)
        words = [
            f"nothing lost in {counted(self.examples, 'example')}"
            if self.sweep is None
            else f"cut at {reached:,} of {counted(self.examples, 'place')}: nothing lost",
            f"{self.inconclusive} inconclusive",
            counted(self.faults_that_met_traffic, "cut that hit traffic", "cuts that hit traffic"),
            counted(self.writes_acknowledged, "write acknowledged", "writes acknowledged"),
            *self._of_dead_flows(),
            *(
                [f"{counted(self.played_again, 'example')} of the database played again"]
                if self.played_again
                else []
            ),
            f"{self.wall_seconds:.1f} s",
        ]
        if self.gave_up:
            words.append(f"the subscriber was notified that it is not served any more in {self.gave_up}")
        if self.not_closed:
            words.append(f"close() did not return in time in {self.not_closed}")
        if self.client_failures:
            words.append(f"the client itself failed in {self.client_failures}")
        if self.seed is not None:
            words.append(f"seed {self.seed}")
        if self.interrupted is not None:
            words.append(self.interrupted)
        return ", ".join(words)

    def _of_dead_flows(self) -> list[str]:
        noticed = counted(self.dead_flows, "dead flow noticed", "dead flows noticed")
        waited = counted(self.unjudged_dead_flows, "dead flow not waited for", "dead flows not waited for")
        return [*([noticed] if self.dead_flows else []), *([waited] if self.unjudged_dead_flows else [])]


class UpdateLost(AssertionError):
    """A client broke a guarantee; the message tells how, in one screen.

    Attributes:
        schedule: the smallest schedule found that breaks it; ``str()`` of it is one expression.
        trace: what the store committed and what was delivered to the subscriber, as plain objects (see the page on
            trace formats); ``netfault judge`` reads the same from a file.
        broken: the names of the broken guarantees. Those that begin with ``writes.`` are about the outcomes of writes.
        seed: the seed of the run.
        repeated: how often that schedule failed, and out of how many plays.
        report: what was tried until then.
        files: what was written about it, the trace first; empty without ``report_dir``.
        timeline: the picture of it, or None; ``pytest_netfault.report.html.render()`` makes a page of it.
    """

    __module__ = (
        "pytest_netfault"  # where users import it from; a summary of 80 columns has room for the reason
    )

    def __init__(
        self,
        message: str,
        *,
        schedule: Schedule,
        trace: dict[str, Any],
        broken: tuple[str, ...],
        seed: int | None = None,
        repeated: tuple[int, int] = (1, 1),
        report: Report | None = None,
        files: tuple[Path, ...] = (),
        timeline: Timeline | None = None,
    ) -> None:
        super().__init__(message)
        self.schedule = schedule
        self.trace = trace
        self.broken = broken
        self.seed = seed
        self.repeated = repeated
        self.report = report
        self.files = files
        self.timeline = timeline

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args), self.__dict__


class ProvedNothing(AssertionError):
    """Nothing was lost, but nothing was put to the test either; the message says what was missing.

    Attributes:
        report: what was tried.
    """

    __module__ = "pytest_netfault"

    def __init__(self, message: str, *, report: Report) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[AssertionError], arguments: tuple[Any, ...]) -> AssertionError:
    """One of the two out of a pickle, without its keyword arguments: what it carries follows as its state."""
    return kind.__new__(kind, *arguments)


@dataclass(frozen=True)
class Kept:
    """Nothing was lost, and something was put to the test."""

    verdict: ClassVar[VerdictName] = "kept"
    report: Report


@dataclass(frozen=True)
class Lost:
    """A guarantee was broken; the attributes are those of `UpdateLost`."""

    verdict: ClassVar[VerdictName] = "broken"
    message: str
    schedule: Schedule
    trace: dict[str, Any]
    broken: tuple[str, ...]
    seed: int | None = None
    repeated: tuple[int, int] = (1, 1)
    report: Report | None = None
    files: tuple[Path, ...] = ()
    timeline: Timeline | None = None

    @classmethod
    def of(cls, error: UpdateLost) -> Lost:
        """The loss that was raised."""
        named = {one.name: getattr(error, one.name) for one in fields(cls) if one.name != "message"}
        return cls(str(error), **named)

    def error(self) -> UpdateLost:
        """What is raised for it."""
        attributes = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "message"}
        return UpdateLost(self.message, **attributes)


@dataclass(frozen=True)
class Nothing:
    """Nothing was lost, and nothing was proved either.

    Attributes:
        reason: why, in one sentence.
        report: what was tried.
        strict: whether it would be `Kept` but for a session that is strict.
    """

    verdict: ClassVar[VerdictName] = "inconclusive"
    reason: str
    report: Report
    strict: bool = False

    @property
    def message(self) -> str:
        """The reason with what was tried, and how the client failed if it did."""
        words = (
            f"{self.reason} ({self.report})"
            if self.strict
            else f"nothing was proved: {self.reason} ({self.report})"
        )
        failure = self.report.client_failure
        return words if failure is None else f"{words}; the client: {failure}"

    def error(self) -> ProvedNothing:
        """What is raised for it."""
        return ProvedNothing(self.message, report=self.report)


Result = Kept | Lost | Nothing

Stage = Literal["again", "playing", "sweeping", "noticing", "shrinking", "repeating", "dealing"]


@dataclass(frozen=True)
class Progress:
    """Where a proof is; passed to ``progress`` after each schedule that was played.

    Attributes:
        stage: ``"again"``: what was lost before and is in the example database of Hypothesis, ``"playing"`` the
            examples, ``"sweeping"`` over places, ``"noticing"``: the client has yet to find out that flows are dead,
            ``"shrinking"`` a failing schedule, ``"repeating"`` the smallest, or ``"dealing"`` shares to the workers of
            an executor.
        done: schedules played in this stage, or shares.
        of: how many there will be, or None if nobody knows.
        seconds: since the start.
        schedule: what was played last.
        failed: whether it broke a guarantee.
        smallest: the smallest failing schedule so far, or None.
        remaining: how many seconds the rest of the examples, or of a sweep, will take if it goes on like this; None
            elsewhere. Dead flows that are still pending by then come on top.
        pending: how many schedules with a dead flow are still being played, or to be played, beside this.
    """

    stage: Stage
    done: int
    of: int | None
    seconds: float
    schedule: Schedule
    failed: bool
    smallest: Schedule | None = None
    remaining: float | None = None
    pending: int = 0


ProgressCallback = Callable[[Progress], None]
