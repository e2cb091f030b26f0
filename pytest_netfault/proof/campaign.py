r"""A proof by examples: draw schedules, play them, and make the first one that breaks a guarantee small.

::

    schedules ---- play ----> kept -----------------------------> the next one
    (of a seed)          \---> broken -- shrink -- repeat -------> UpdateLost

Rules of this file: what is played is decided by the seed alone, never by what happened before. ``max_seconds``
bounds all of it together; shrinking has a bound of its own besides, because a small schedule is worth seconds, not
minutes. Ctrl-C ends it at once; what had been played by then is not lost: the smallest failing run, or else the last
one, is written as a loss would be.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pytest_netfault.common.wording import counted
from pytest_netfault.faults import Cut, CutHow, Direction
from pytest_netfault.proof.bench import Kit, OpenKit
from pytest_netfault.proof.beside import Beside
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.files import document, files_beside, keep_report, picture_beside, write_report
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline, DidNotReturn
from pytest_netfault.proof.minimizing import Limits, Minimizer
from pytest_netfault.proof.noticing import smallest_loss
from pytest_netfault.proof.picture import picture
from pytest_netfault.proof.progress import progress_of_session
from pytest_netfault.proof.results import (
    Progress,
    ProgressCallback,
    ProvedNothing,
    Report,
    Stage,
    UpdateLost,
)
from pytest_netfault.proof.shards import Shard
from pytest_netfault.proof.story import tell
from pytest_netfault.proof.sweep import (
    LEARNING_RUNS,
    Place,
    carried,
    fired,
    in_words,
    places,
    play_place,
    play_places,
    side_by_side,
    with_dead_flows,
)
from pytest_netfault.proof.tally import Tally
from pytest_netfault.schedules.dead_flows import touches_server
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import ANYTHING, Asked, complexity

__all__ = ["Campaign"]

SHRINK_SECONDS = 40.0
# How often it is told that a proof only waits for clients to notice.
_TICK_SECONDS = 1.0
_SHARE_OF_WAITING = 0.5
_UNSURE_SECONDS = 15.0
RATING_SECONDS = 20.0
_FIRST_SECONDS = 3.0
_REPORTING_SECONDS = 2.0
_SHARE_OF_REPORTING = 0.2


class Campaign:
    """One proof over one open kit."""

    def __init__(
        self,
        kit: Kit,
        *,
        seed: int | None,
        promise: str,
        settle: float,
        notice: float | None = None,
        deadline: Deadline = NO_DEADLINE,
        report_dir: Path | None = None,
        progress: ProgressCallback | None = None,
        asked: Asked = ANYTHING,
    ) -> None:
        self._kit = kit
        self._seed = seed
        self._promise = promise
        self._settle = settle
        self._notice = notice
        self._began = time.monotonic()
        self._deadline = deadline
        self._interrupted: str | None = None
        self._report_dir = report_dir
        self._progress = progress_of_session() if progress is None else progress
        self._asked = asked
        self._tally = Tally()
        self._sought: frozenset[str] = frozenset()  # what the first failing run broke
        self._lost_beside: list[tuple[int, Run]] = []
        self._smallest: Schedule | None = None
        self._worth_keeping: Run | None = None

    @property
    def tally(self) -> Tally:
        """What was counted so far."""
        return self._tally

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _report(self) -> Report:
        return self._tally.report(seconds=self._seconds, seed=self._seed)

    def prove(
        self,
        schedules: Iterable[Schedule],
        open_kit: OpenKit,
        *,
        of: int,
        dead_flows: Sequence[Schedule] = (),
    ) -> Report:
        """Play schedules until one breaks a guarantee or the time is up.

        Args:
            schedules: the examples.
            open_kit: opens what is played with beside them.
            of: how many examples there are.
            dead_flows: schedules in which a flow dies without a word, which are played beside the examples. What
                touches the server waits until they have ended, and whoever has no other examples has these.

        Raises:
            UpdateLost: one broke a guarantee.
            ProvedNothing: none did, but nothing was put to the test either.
        """
        __tracebackhide__ = True
        with (
            self._kept_if_interrupted(),
            Beside(dead_flows, len(dead_flows), open_kit, deadline=self._deadline) as beside,
        ):
            look = functools.partial(self._look, beside, open_kit, examples=not of)
            later = []
            played = 0
            for number, schedule in enumerate(schedules, start=1):
                if dead_flows and touches_server(schedule):
                    later.append((number, schedule))
                elif played and self._deadline.over:
                    break
                else:
                    played += 1
                    if not self._example(schedule, number, of, played, beside):
                        break
                    look()
            # Where the time is short, some of it is for what has waited.
            share = _SHARE_OF_WAITING if later else 1.0
            look(until=Deadline(time.monotonic() + share * self._deadline.left))
            for number, schedule in later:
                if played and self._deadline.over:
                    break
                played += 1
                if not self._example(schedule, number, of, played, beside):
                    break
        return self._done()

    def _play_until_deadline(self, schedule: Schedule) -> Run | None:
        """A run that counts; None if the time was up before it came to its end."""
        # However short the time is, one example has the time that one takes.
        first = Deadline(max(self._deadline.at, self._began + _FIRST_SECONDS))
        try:
            run = self._kit.play(schedule, deadline=self._deadline if self._tally.examples else first)
        except DidNotReturn as hung:
            if not self._tally.examples or not self._deadline.over:
                raise
            self._interrupted = f"then {hung}"
            return None
        if run.cut_short and not run.broken:
            self._interrupted = "the last one was cut short by max_seconds and is not counted"
            return None
        self._tally = self._tally.plus(run)
        return run

    def _example(self, schedule: Schedule, number: int, of: int, played: int, beside: Beside) -> bool:
        """Play one; False if the time was up before it came to its end."""
        __tracebackhide__ = True
        run = self._play_until_deadline(schedule)
        if run is None:
            return False
        self._tell("playing", played, of, run, pending=beside.pending)
        if run.broken:
            beside.close()
            raise self._lost(run, f"Found in example {number} of {of}")
        return True

    def _look(
        self, beside: Beside, open_kit: OpenKit, *, examples: bool = False, until: Deadline | None = None
    ) -> None:
        """See what became of what is played beside; or wait until all of it has ended, at most until then.

        Of what breaks in an example as well as behind a dead flow the example is reported, whatever is seen first: so
        a loss is not reported before the client has had its time to notice, unless the examples have ended by then.

        Raises:
            UpdateLost: one broke a guarantee.
        """
        __tracebackhide__ = True
        while beside.pending and not (until and self._lost_beside):
            taken = beside.take(until.within(_TICK_SECONDS) if until else 0.0)
            if taken is not None:
                number, run = taken
                self._tally = self._tally.plus(run) if examples else self._tally.plus_beside(run)
                self._tell("noticing", beside.judged, beside.of, run)
                if run.broken:
                    self._lost_beside.append((number, run))
            elif until is None or until.over:
                break
            elif self._progress is not None and beside.latest is not None:
                self._progress(
                    Progress("noticing", beside.judged, beside.of, self._seconds, beside.latest, False)
                )
        if self._lost_beside and (until or self._seconds >= (self._notice or 0.0)):
            loss = smallest_loss(self._lost_beside, beside, open_kit, until=self._deadline.at)
            raise self._error(loss.run, loss.found, loss.repeated)
        if until and beside.pending:
            self._tally = replace(self._tally, unjudged_dead_flows=beside.pending)
            beside.close()

    def replay(self, schedule: Schedule) -> Report:
        """Play one schedule; raises as :meth:`prove` does."""
        __tracebackhide__ = True
        run = self._play(schedule)
        self._tell("playing", 1, 1, run)
        if run.broken:
            raise self._error(run, "Played as given.", (1, 1))
        return self._done()

    def sweep(
        self,
        scenario: Schedule,
        open_kit: OpenKit,
        *,
        direction: Direction,
        stride: int,
        how: Sequence[CutHow],
        shard: Shard,
    ) -> Report:
        """Play a scenario once for each place at which a connection of the subject can be cut.

        Raises:
            UpdateLost: an update was lost at one of them, or without any cut.
            ProvedNothing: there is no place, or no cut fired.
        """
        __tracebackhide__ = True
        learned: list[Run] = []
        for number in range(1, LEARNING_RUNS + 1):
            learned.append(self._kit.play(scenario))
            if learned[-1].broken:
                raise self._error(
                    learned[-1], "The scenario breaks a guarantee without any cut.", (1, number)
                )
        wanted = places(carried(learned), direction=direction, stride=stride, how=how, shard=shard)
        holes: list[Cut] = []
        broken: list[Run] = []
        aside = [] if self._notice is None else with_dead_flows(scenario, wanted)
        beside = Beside(aside, len(aside), open_kit, play=play_place)
        look = functools.partial(self._look, beside, open_kit)

        def on_run(place: Place, run: Run) -> bool:
            if not fired(run):
                holes.append(place.cut)
            self._tally = self._tally.plus(run, inconclusive=not fired(run) or not run.conclusive)
            done = self._tally.examples
            rest = self._seconds / done * (len(wanted) - done)
            self._tell("sweeping", done, len(wanted), run, remaining=rest, pending=beside.pending)
            if run.broken:
                broken.append(run)
            else:
                look()
            return not broken

        with self._kept_if_interrupted(), beside:
            play_places(wanted, scenario, open_kit, workers=side_by_side(scenario), on_run=on_run)
            if broken:
                beside.close()
                where = f"Found at place {self._tally.examples} of {len(wanted)} of a sweep"
                raise self._lost(broken[0], where)
            look(until=self._deadline)
        return self._done(holes=tuple(holes), sweep=in_words(learned))

    def _done(self, *, holes: tuple[Cut, ...] = (), sweep: str | None = None) -> Report:
        __tracebackhide__ = True
        report = replace(self._report(), holes=holes, sweep=sweep, interrupted=self._interrupted)
        reason = self._tally.proved_nothing(holes=len(holes))
        if not self._tally.examples and self._deadline.over:
            reason = "no example came to its end within max_seconds"
        if reason is not None:
            raise ProvedNothing(f"nothing was proved: {reason} ({report})", report=report)
        return report

    def _play(self, schedule: Schedule) -> Run:
        run = self._kit.play(schedule)
        self._tally = self._tally.plus(run)
        return run

    def _tell(
        self,
        stage: Stage,
        done: int,
        of: int | None,
        run: Run,
        *,
        remaining: float | None = None,
        pending: int = 0,
    ) -> None:
        failed = not self._sought.isdisjoint(run.broken) if self._sought else bool(run.broken)
        if failed and (self._smallest is None or complexity(run.schedule) < complexity(self._smallest)):
            self._smallest = run.schedule
            self._worth_keeping = run
        if self._smallest is None:
            self._worth_keeping = run
        if self._progress is not None:
            self._progress(
                Progress(
                    stage,
                    done,
                    of,
                    self._seconds,
                    run.schedule,
                    bool(run.broken),
                    self._smallest,
                    remaining,
                    pending,
                )
            )

    # -- after a loss -------------------------------------------------------------------------------------

    def _lost(self, run: Run, found: str) -> UpdateLost:
        report = self._report()
        self._sought = frozenset(run.broken)

        def play(
            stage: Literal["shrinking", "repeating"], schedule: Schedule, done: int, of: int | None
        ) -> Run | None:
            try:
                again = self._kit.play(schedule, deadline=until)
            except Exception:
                return None  # what went wrong here is less than the loss that is known already
            if again.cut_short and not again.broken:
                return None
            self._tell(stage, done, of, again)
            return again

        # Some of what is left is for the report.
        until = Deadline(
            self._deadline.at - min(self._deadline.left * _SHARE_OF_REPORTING, _REPORTING_SECONDS)
        )
        limits = Limits(SHRINK_SECONDS, _UNSURE_SECONDS, RATING_SECONDS, until.at)
        smallest = Minimizer(run, play, asked=self._asked, limits=limits).smallest()
        found += f", shrunk from {len(run.schedule)} to {counted(len(smallest.run.schedule), 'step')} "
        found += f"in {counted(smallest.tries, 'play')}."
        return self._error(smallest.run, found, (smallest.failed, smallest.plays), report)

    def _error(
        self, run: Run, found: str, repeated: tuple[int, int], report: Report | None = None
    ) -> UpdateLost:
        trace = document(run, seed=self._seed, settle=self._settle, notice=self._notice)
        drawing = picture(run, seed=self._seed)
        path, trouble = None, ""
        if self._report_dir is not None:
            name = f"update-lost-seed{self._seed}-{run.trace.filter.key.rstrip('.')}"
            path, trouble = keep_report(self._report_dir, name, run, trace, drawing)
        message = tell(
            run,
            found=found,
            repeated=repeated,
            seed=self._seed,
            promise=self._promise,
            settle=self._settle,
            notice=self._notice,
            trace_path=path,
            page=picture_beside(path),
        )
        return UpdateLost(
            message + trouble,
            schedule=run.schedule,
            trace=trace,
            broken=run.broken,
            seed=self._seed,
            repeated=repeated,
            report=replace(report or self._report(), wall_seconds=self._seconds),
            files=() if path is None else tuple(files_beside(path)),
            timeline=drawing,
        )

    @contextlib.contextmanager
    def _kept_if_interrupted(self) -> Iterator[None]:
        """After Ctrl-C, leave what is known by then where a loss would be."""
        try:
            yield
        except KeyboardInterrupt:
            run = self._worth_keeping
            if run is not None and self._report_dir is not None:
                name = f"interrupted-seed{self._seed}-{run.trace.filter.key.rstrip('.')}"
                with contextlib.suppress(
                    OSError
                ):  # Ctrl-C is what is to be told, also where the disk is full
                    write_report(
                        self._report_dir,
                        name,
                        run,
                        document(run, seed=self._seed),
                        played=self._tally.examples,
                    )
            raise
