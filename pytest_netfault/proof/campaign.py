r"""A proof by examples: draw schedules, play them, and make the first one that breaks a guarantee small.

::

    schedules ---- play ----> kept -----------------------------> the next one
    (of a seed)          \---> broken -- shrink -- repeat -------> Lost

What is played is decided by the seed alone, never by what happened before, and so is what is found: plays are made side
by side (``lanes.py``) and judged in order. ``max_seconds`` bounds all of it together.
Ctrl-C ends it at once; what had been played by then is not lost: the smallest failing run, or else the last one, is
written as a loss would be.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TypeVar

from pytest_netfault.faults import Cut
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.bench import Bench, OpenBench
from pytest_netfault.proof.beside import Beside
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.guided import BEHIND, Guided
from pytest_netfault.proof.lanes import Lanes
from pytest_netfault.proof.ledger import Ledger
from pytest_netfault.proof.limits import Deadline, DidNotReturn, Recallable
from pytest_netfault.proof.losses import Losses
from pytest_netfault.proof.noticing import smallest_loss
from pytest_netfault.proof.observed import observe
from pytest_netfault.proof.property_tests import in_property_test
from pytest_netfault.proof.results import Kept, Lost, Nothing, Progress, Result
from pytest_netfault.proof.sweep import (
    LEARNING_RUNS,
    Learned,
    Place,
    Wanted,
    fired,
    in_words,
    places_of,
    play_place,
    scenario_with,
    with_dead_flows,
)
from pytest_netfault.schedules.dead_flows import has_dead_flow, touches_server
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import ANYTHING, Asked

__all__ = ["Campaign"]

T = TypeVar("T")

# How often it is reported that a proof only waits for clients to notice.
_TICK_SECONDS = 1.0
_SHARE_OF_WAITING = 0.5
_FIRST_SECONDS = 3.0
# How often a saved schedule must lose nothing before it is dropped; once, if that takes the time to notice.
_PLAYS_AGAIN = 3
# As many steps as most schedules have that were made small.
_SMALL = 6


class Campaign:
    """One proof over one open bench.

    Args:
        bench: of the caller's thread.
        open_bench: opens what is played with beside it.
        lanes: play the examples.
        settings: of the proof.
        asked: what a smaller schedule may have.

    Attributes:
        bench: of the caller's thread.
        settings: of the proof.
        ledger: what was counted so far.
    """

    def __init__(
        self, bench: Bench, open_bench: OpenBench, lanes: Lanes, settings: Settings, asked: Asked = ANYTHING
    ) -> None:
        self.bench = bench
        self.ledger = Ledger(settings)
        self._open_bench = open_bench
        self._lanes = lanes
        self.settings = settings
        self._deadline = settings.deadline
        self._losses = Losses(lanes, settings, self.ledger, asked)
        self._guided: Guided | None = None
        self._tried = 0
        self._drawn = False
        self._over_link = True  # whether the client uses the address that it is given
        self._lost_beside: list[tuple[int, Run]] = []

    def prove(
        self,
        schedules: Iterable[Schedule],
        *,
        of: int,
        dead_flows: Sequence[Schedule] = (),
        guided: Guided | None = None,
    ) -> Result:
        """Play schedules until one breaks a guarantee or the time is up.

        Args:
            schedules: the examples.
            of: how many examples there are.
            dead_flows: schedules in which a flow dies without a word, which are played beside the examples. Whoever
                has no other examples has these.
            guided: the search that draws the schedules, if it wants to know what they have shown.

        What touches a server that all share waits until all else has ended, and is played by itself.
        """
        self._guided = guided
        with (
            self._losses.kept_if_interrupted(),
            Beside(dead_flows, len(dead_flows), self._open_bench, deadline=self._deadline) as beside,
        ):
            later: list[tuple[int, Schedule]] = []
            at_once = _at_once(schedules, later, shared=not self.bench.has_servers_apart)
            lost = (
                self._play_all(at_once, of, beside)
                or self._follow(beside, examples=not of, until=self._share_of_waiting(later))
                or self._play_all(later, of, beside, lanes=1)
            )
        return lost or self._done()

    def replay(self, schedule: Schedule, *, smaller: Asked | None = None) -> Result:
        """Play one schedule; if it loses something, and it is said what a smaller one may have, make it small."""
        run = self.bench.play(schedule, learn=in_property_test())
        observe(run)
        self.ledger.count(run)
        self.ledger.played("playing", 1, 1, run)
        if run.broken and smaller is not None:
            return self._losses.shrunk_for_hypothesis(run, smaller)
        return self._losses.as_played(run, "Played as given.") if run.broken else self._done()

    def play_again(self, schedule: Schedule, found: str) -> Result:
        """Play a schedule that has lost an update before, and might do so by luck only; a large one is made smaller."""
        plays = 1 if has_dead_flow(schedule) else _PLAYS_AGAIN
        number, run = 1, self.bench.play(schedule)
        self.ledger.played("again", number, plays, run)
        while not run.broken:
            if number == plays or run.cut_short or self._deadline.over:
                # This machine may not be able to do what the other one did.
                self.ledger.count(run, inconclusive=not run.conclusive or len(run.faults) < schedule.faults)
                return self._done()
            number, run = number + 1, self.bench.play(schedule)
            self.ledger.played("again", number, plays, run)
        self.ledger.count(run)
        if len(schedule) > _SMALL:
            return self._losses.shrunk(run, found)
        return self._losses.as_played(run, f"{found}.", (1, number))

    def sweep(self, scenario: Schedule, wanted_places: Wanted) -> Result:
        """Play a scenario once for each place at which a connection of the client can be cut."""
        learned: list[Learned] = []
        for number, run in enumerate(self._learning_runs(scenario, frames=wanted_places.frames), start=1):
            if run.broken:
                found = "The scenario breaks a guarantee without any cut."
                return self._losses.as_played(run, found, (1, number))
            learned.append(Learned.of(run, scenario))
        # Where each lane has a server of its own, the places are those of such a one: revisions are shorter there.
        learned = learned[-LEARNING_RUNS:]
        wanted = places_of(learned, wanted_places, self.settings.part)
        if scenario.faults and not any(one.traffic for one in learned):
            reason = "no connection came after the Break() of the scenario: there is no recovery to sweep"
            return Nothing(reason, self.ledger.report(sweep=in_words(learned)))
        holes: list[Cut] = []
        apart = self.bench.has_servers_apart
        none_aside = self.settings.notice is None or (touches_server(scenario) and not apart)
        aside = [] if none_aside else with_dead_flows(scenario, wanted)
        # What touches a server that all share is played by itself.
        lanes = 1 if (touches_server(scenario) and not apart) or not self._over_link else None
        with (
            self._losses.kept_if_interrupted(),
            Beside(aside, len(aside), self._open_bench, play=play_place) as beside,
            contextlib.closing(self._play_places(wanted, scenario, lanes)) as played,
        ):
            lost: Lost | None = None
            for place, run in played:
                if not fired(run):
                    holes.append(place.cut)
                self.ledger.count(run, inconclusive=not fired(run) or not run.conclusive)
                done = self.ledger.tally.examples
                rest = self.ledger.seconds / done * (len(wanted) - done)
                self.ledger.played("sweeping", done, len(wanted), run, remaining=rest, pending=beside.pending)
                if run.broken:
                    played.close()
                    beside.close()
                    return self._losses.shrunk(run, f"Found at place {done} of {len(wanted)} of a sweep")
                if lost := self._follow(beside):
                    break
            lost = lost or self._follow(beside, until=self._deadline)
        return lost or self._done(holes=tuple(holes), sweep=in_words(learned, frames=wanted_places.frames))

    def _learning_runs(self, scenario: Schedule, *, frames: bool) -> Iterator[Run]:
        first = self.bench.play(scenario, learn=frames)
        self._over_link = bool(first.traffic)
        yield first

        # One after the other, because a client that is slow sends more: heartbeats.
        apart = self._over_link and self._lanes.apart and self._lanes.count > 1
        for _ in range(LEARNING_RUNS if apart else LEARNING_RUNS - 1):
            yield self.bench.play(scenario, learn=frames, apart=apart)

    def _play_places(
        self, wanted: Sequence[Place], scenario: Schedule, lanes: int | None
    ) -> Generator[tuple[Place, Run], None, None]:
        def play(bench: Bench, place: Place, until: Deadline) -> Run:
            return play_place(bench, scenario_with(scenario, place), until)

        yield from self._lanes.in_order(play, wanted, lanes=lanes)

    def _play_all(
        self, schedules: Iterable[tuple[int, Schedule]], of: int, beside: Beside, lanes: int | None = None
    ) -> Lost | None:
        """Play numbered examples; a loss among them, or behind a dead flow meanwhile, ends it, and so does the time."""
        items = iter(self._in_time(schedules))
        if self._lanes.apart and not self._tried:
            # A client that ignores its address reaches the server that it knows, and no other: the first play shows it.
            lost = self._play_items(itertools.islice(items, 1), of, beside, 1)
            if lost is not None:
                return lost
        return self._play_items(items, of, beside, lanes if self._over_link else 1)

    def _play_items(
        self, items: Iterable[tuple[int, Schedule]], of: int, beside: Beside, lanes: int | None
    ) -> Lost | None:
        def play(bench: Bench, numbered: tuple[int, Schedule], until: Deadline) -> Run:
            return self._lanes.fairly(bench, numbered[1], until, learn=self._guided is not None)

        # However short the time is, one example has the time that one takes.
        until = Recallable(max(self._deadline.at, self.ledger.began + _FIRST_SECONDS))
        ahead = None if self._guided is None else BEHIND
        played_in_order = self._lanes.in_order(play, items, lanes=lanes, until=until, ahead=ahead)
        with contextlib.closing(played_in_order) as played:
            while (done := self._next_example(played)) is not None:
                number, run = done
                until.bring_forward(self._deadline.at)
                rest = self.ledger.seconds / self._tried * (of - self._tried)
                self.ledger.played("playing", self._tried, of, run, remaining=rest, pending=beside.pending)
                if run.broken:
                    played.close()
                    beside.close()
                    return self._losses.shrunk(run, f"Found in example {number} of {of}")
                if lost := self._follow(beside):
                    return lost
        return None

    def _in_time(self, items: Iterable[T]) -> Iterator[T]:
        """Items, until the time is up; the first of all in any case."""
        for item in items:
            if self._drawn and self._deadline.over:
                return
            self._drawn = True
            yield item

    def _next_example(self, played: Iterator[tuple[tuple[int, Schedule], Run]]) -> tuple[int, Run] | None:
        """The next one that counts; None if there is none, or the time was up before it came to its end."""
        counted = self.ledger.tally.examples
        if counted and self._deadline.over:
            return None
        try:
            (number, _), run = next(played, ((0, None), None))
        except DidNotReturn as hung:
            if not counted or not self._deadline.over:
                raise
            self.ledger.interrupted = f"then {hung}"
            return None
        if run is None:
            return None
        self._tried += 1
        self._over_link = bool(run.traffic) if self._tried == 1 else self._over_link
        if run.cut_short and not run.broken:
            self.ledger.interrupted = "the last one was cut short by max_seconds and is not counted"
            return None
        self.ledger.count(run)
        if self._guided is not None:
            self._guided.learn(run)
        return number, run

    def _share_of_waiting(self, later: Sequence[object]) -> Deadline:
        """Until when dead flows are waited for: where the time is short, some of it is for what has waited."""
        share = _SHARE_OF_WAITING if later else 1.0
        return Deadline(time.monotonic() + share * self._deadline.left)

    def _follow(
        self, beside: Beside, *, examples: bool = False, until: Deadline | None = None
    ) -> Lost | None:
        """See what became of what is played beside; or wait until all of it has ended, at most until then.

        Of what breaks in an example as well as behind a dead flow the example is reported, whatever is seen first: so
        a loss is not reported before the client has had its time to notice, unless the examples have ended by then.
        """
        while beside.pending and not (until and self._lost_beside):
            taken = beside.take(until.within(_TICK_SECONDS) if until else 0.0)
            if taken is not None:
                number, run = taken
                if examples:
                    self.ledger.count(run)
                else:
                    self.ledger.count_beside(run)
                self.ledger.played("noticing", beside.judged, beside.of, run)
                if run.broken:
                    self._lost_beside.append((number, run))
            elif until is None or until.over:
                break
            elif beside.latest is not None:
                judged, of = beside.judged, beside.of
                self.ledger.tell(Progress("noticing", judged, of, self.ledger.seconds, beside.latest, False))
        if self._lost_beside and (until or self.ledger.seconds >= (self.settings.notice or 0.0)):
            loss = smallest_loss(self._lost_beside, beside, self._open_bench, until=self._deadline.at)
            return self._losses.as_played(loss.run, loss.found, loss.repeated)
        if until and beside.pending:
            self.ledger.count_unjudged(beside.pending)
            beside.close()
        return None

    def _done(self, *, holes: tuple[Cut, ...] = (), sweep: str | None = None) -> Result:
        report = self.ledger.report(holes=holes, sweep=sweep)
        reason = self.ledger.tally.proved_nothing(holes=len(holes))
        if not self.ledger.tally.examples and self._deadline.over:
            reason = "no example ended within max_seconds"
        return Kept(report) if reason is None else Nothing(reason, report)


def _at_once(
    schedules: Iterable[Schedule], later: list[tuple[int, Schedule]], *, shared: bool
) -> Iterator[tuple[int, Schedule]]:
    """Number the schedules from 1; those that touch a server that all share are left for later."""
    for number, schedule in enumerate(schedules, start=1):
        if shared and touches_server(schedule):
            later.append((number, schedule))
        else:
            yield number, schedule
