"""From a failing run to what is reported of it: made small, played again, written down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pytest_netfault.common.surroundings import versions, wall_clock
from pytest_netfault.common.wording import counted
from pytest_netfault.proof import host
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.files import document, files_beside, keep_report, picture_beside, write_report
from pytest_netfault.proof.lanes import Lanes
from pytest_netfault.proof.ledger import Ledger
from pytest_netfault.proof.limits import Deadline, Recallable
from pytest_netfault.proof.minimizing import Limits, Minimizer
from pytest_netfault.proof.picture import picture
from pytest_netfault.proof.replaying import replay_command
from pytest_netfault.proof.results import Lost, Report
from pytest_netfault.proof.story import tell
from pytest_netfault.report.timeline import Timeline
from pytest_netfault.schedules.dead_flows import leaves_dead_flow, smallest
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import Asked
from pytest_netfault.schedules.steps import Break

__all__ = ["Losses"]

# A play that loses takes as long as ``settle``: in this time about twenty fit on a machine that is busy with other
# tests. It is rarely used up. ``max_seconds`` bounds it besides.
SHRINK_SECONDS = 90.0
_UNSURE_SECONDS = 15.0
RATING_SECONDS = 20.0
_SECONDS_OF_A_PROPERTY = (45.0, 10.0, 12.0)
# Of the time that is left, so much is for the report: this share, but no more than so many seconds.
_SHARE_OF_REPORTING, _REPORTING_SECONDS = 0.2, 2.0


class Losses:
    """What a proof does with a run that broke a guarantee."""

    def __init__(self, lanes: Lanes, settings: Settings, ledger: Ledger, asked: Asked) -> None:
        self._lanes = lanes
        self._settings = settings
        self._ledger = ledger
        self._asked = asked

    def shrunk(self, run: Run, found: str, *, seconds: tuple[float, float, float] | None = None) -> Lost:
        """The loss, with the smallest schedule that can be found in bounded time.

        Args:
            run: the first that failed.
            found: how it was found, in words.
            seconds: for shrinking, for shrinking what hardly ever fails, and for playing the smallest again and again,
                if they are not the usual ones.
        """
        report = self._ledger.report()
        self._ledger.sought = frozenset(run.broken)
        deadline = self._settings.deadline
        until = deadline.at - min(deadline.left * _SHARE_OF_REPORTING, _REPORTING_SECONDS)

        def once(bench: Bench, schedule: Schedule, until: Deadline) -> Run | None:
            try:
                again = bench.play(schedule, deadline=until)
            except Exception:
                return None  # what went wrong here is less than the loss that is known already
            return None if again.cut_short and not again.broken else again

        def play(
            stage: Literal["shrinking", "repeating"], schedules: Sequence[Schedule], done: int, of: int | None
        ) -> list[Run | None]:
            # On a server that all share, the writes of one are revisions that another may lean on.
            alone = not self._lanes.apart
            runs: list[Run | None] = []
            with contextlib.closing(
                self._lanes.in_order(once, schedules, lanes=1 if alone else None, until=Recallable(until))
            ) as played:
                for _, run in played:
                    runs.append(run)
                    if run is not None:
                        self._ledger.played(stage, done + len(runs) - 1, of, run)
            return runs

        limits = Limits(*(seconds or (SHRINK_SECONDS, _UNSURE_SECONDS, RATING_SECONDS)), until)
        minimizer = Minimizer(
            run, play, asked=self._asked, limits=limits, width=self._lanes.count if self._lanes.apart else 1
        )
        least = minimizer.smallest()
        found += f", shrunk from {len(run.schedule)} to {counted(len(least.run.schedule), 'step')} "
        found += f"in {counted(least.tries, 'play')}."
        return self.as_played(least.run, found, (least.failed, least.plays), report)

    def shrunk_for_hypothesis(self, run: Run, smaller: Asked) -> Lost:
        """The loss of an input of a property test, whose time is shorter."""
        found = "Found by Hypothesis"
        killer = next((step for step in run.schedule if leaves_dead_flow(step)), None)
        if not isinstance(killer, Break):
            return self.shrunk(run, found, seconds=_SECONDS_OF_A_PROPERTY)
        # Each play takes as long as the client has to notice: the smallest there is, or none.
        least = smallest(killer.fault)
        if smaller.permits(least) and least != run.schedule:
            again = self._lanes.own.play(least)
            if not set(again.broken).isdisjoint(run.broken):
                return self.as_played(again, f"{found}, shrunk from {counted(len(run.schedule), 'step')}.")
        return self.as_played(run, f"{found}.")

    def as_played(
        self, run: Run, found: str, repeated: tuple[int, int] = (1, 1), report: Report | None = None
    ) -> Lost:
        """The loss with the schedule as it was played; its files are written.

        Args:
            run: which failed.
            found: how it was found, in words.
            repeated: how often the schedule failed, and out of how many plays.
            report: what was tried; by default, until now.
        """
        settings = self._settings
        trace = document(run, seed=settings.seed, settle=settings.settle, notice=settings.notice)
        drawing = self._drawn(run, "update-lost")
        path, trouble = None, ""
        if settings.report_dir is not None:
            path, trouble = keep_report(
                settings.report_dir, self._name("update-lost", run), run, trace, drawing
            )
        message = tell(
            run,
            found=found,
            repeated=repeated,
            seed=settings.seed,
            promise=settings.promise,
            settle=settings.settle,
            notice=settings.notice,
            trace_path=path,
            page=picture_beside(path),
        )
        return Lost(
            message + trouble,
            schedule=run.schedule,
            trace=trace,
            broken=run.broken,
            seed=settings.seed,
            repeated=repeated,
            report=replace(report or self._ledger.report(), wall_seconds=self._ledger.seconds),
            files=() if path is None else tuple(files_beside(path)),
            timeline=drawing,
        )

    @contextlib.contextmanager
    def kept_if_interrupted(self) -> Iterator[None]:
        """After Ctrl-C, leave what is known by then where a loss would be."""
        try:
            yield
        except KeyboardInterrupt:
            run = self._ledger.worth_keeping
            if run is not None and self._settings.report_dir is not None:
                # Ctrl-C is what is reported, also where the disk is full.
                with contextlib.suppress(OSError):
                    write_report(
                        self._settings.report_dir,
                        self._name("interrupted", run),
                        run,
                        document(run, seed=self._settings.seed),
                        self._drawn(run, "interrupted"),
                        played=self._ledger.tally.examples,
                    )
            raise

    def _drawn(self, run: Run, what: str) -> Timeline:
        settings, session = self._settings, host.current()
        command = ""
        if settings.report_dir is not None:
            command = replay_command(
                str(_near(settings.report_dir / f"{self._name(what, run)}.json")),
                store=settings.about.store,
                server=settings.about.server_option,
            )
        return picture(
            run,
            seed=settings.seed,
            settle=settings.settle,
            notice=settings.notice,
            facts=(
                *settings.about.facts(),
                ("started", wall_clock(run.began)),
                ("versions", versions("hypothesis", "trio")),
            ),
            command=command,
            log=() if session is None else session.logged(),
        )

    def _name(self, what: str, run: Run) -> str:
        return f"{what}-seed{self._settings.seed}-{run.trace.filter.key.rstrip('.')}"


def _near(path: Path) -> Path:
    """The path as somebody types it who stands where the proof was started."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):  # elsewhere, or the directory is gone
        return path
