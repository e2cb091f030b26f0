"""What a proof comes to: a report, or one of two assertions.

Rules of this file: frozen data, and exceptions that carry data; no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytest_netfault.common.wording import counted
from pytest_netfault.faults import Cut
from pytest_netfault.report.timeline import Timeline
from pytest_netfault.schedules.schedule import Schedule

__all__ = ["Progress", "ProgressCallback", "ProvedNothing", "Report", "Stage", "UpdateLost"]


@dataclass(frozen=True)
class Report:
    """What was tried while nothing was lost.

    Attributes:
        examples: schedules that were played; in a sweep the places that were tried.
        inconclusive: those of them that prove nothing: no subscription came about, or things had not come to rest; in
            a sweep the places where the cut never fired.
        cuts_that_hit_traffic: faults that met bytes, an ending or a connection; a restart or a pause of the server is
            one too.
        wall_seconds: how long all of it took.
        writes_acknowledged: how many writes were acknowledged; deletes of absent keys do not count.
        seed: draws the same schedules again.
        gave_up: examples in which the subscriber was told that it can no longer be served.
        not_closed: examples in which the client's ``close()`` did not return within ``settle`` seconds.
        dead_flows: how often a flow died without a word and the client found out. These schedules are played beside
            the examples and are not among them, unless nothing else was asked for.
        unjudged_dead_flows: how many of those schedules ``max_seconds`` did not leave the time for.
        holes: in a sweep, the cuts that never fired: the connection carried fewer bytes that time.
        sweep: in a sweep, what was swept, in words.
        interrupted: how ``max_seconds`` ended the proof in the midst of an example, in words; None if it did not.
        faults: faults that came into force, restarts and pauses of the server included.
    """

    examples: int
    inconclusive: int
    cuts_that_hit_traffic: int
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

    def __str__(self) -> str:
        reached = self.examples - len(self.holes)
        words = [
            f"nothing lost in {counted(self.examples, 'example')}"
            if self.sweep is None
            else f"cut at {reached:,} of {counted(self.examples, 'place')}: nothing lost",
            f"{self.inconclusive} inconclusive",
            counted(self.cuts_that_hit_traffic, "cut that hit traffic", "cuts that hit traffic"),
            counted(self.writes_acknowledged, "write acknowledged", "writes acknowledged"),
            *self._of_dead_flows(),
            f"{self.wall_seconds:.1f} s",
        ]
        if self.gave_up:
            words.append(f"the subscriber was told that it is not served any more in {self.gave_up}")
        if self.not_closed:
            words.append(f"close() did not return in time in {self.not_closed}")
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
        trace: what the store committed and what the subscriber was handed, as plain objects (see the page on trace
            formats); ``netfault judge`` reads the same from a file.
        broken: the names of the broken guarantees. Those that begin with ``writes.`` are about what a writer was told.
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


Stage = Literal["playing", "sweeping", "noticing", "shrinking", "repeating"]


@dataclass(frozen=True)
class Progress:
    """Where a proof is; handed to ``progress`` after each schedule that was played.

    Attributes:
        stage: ``"playing"`` the examples, ``"sweeping"`` over places, ``"noticing"``: the client has yet to find out
            that flows are dead, ``"shrinking"`` a failing schedule, or ``"repeating"`` the smallest.
        done: schedules played in this stage.
        of: how many there will be, or None if nobody knows.
        seconds: since the start.
        schedule: what was played last.
        failed: whether it broke a guarantee.
        smallest: the smallest failing schedule so far, or None.
        remaining: how many seconds the rest of a sweep will take if it goes on like this; None elsewhere.
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
