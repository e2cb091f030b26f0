"""Plays one schedule against a client, its link and its server, and records what happened.

::

    schedule --> Player --> Outages           the link: faults, and moments on it
                   |   +--> ServerSide        compact, restart, pause, resume, and the log
                   |   +--> Writer            writes past the link, as another service would
                   |   +--> ClientUnderTest   behind the link: subscribes, and writes too
                   v
                  Run       what happened, as data

How a run ends is decided in ``quiescence.py``.

* Every wait has a bound, and none of them decides a verdict but ``settle``. So has every call of the client and of the
  server (``limits.py``). When the deadline of the proof comes, no further step is made, and what happened is judged.
* When an external client has failed (its program crashed), no further step is made, and the run proves nothing. That
  is looked at once more after it was closed: a program may end a moment after the mistake that ended the run.
* The player owns the client that it opened, and its threads; both are released in reverse order, also after Ctrl-C.
  The link, the server and the writer belong to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_netfault.checks.guarantees import TraceVerdict, judge_trace
from pytest_netfault.checks.trace import Promise, Trace
from pytest_netfault.common.printable import error_words, printable
from pytest_netfault.common.wording import counted
from pytest_netfault.faults import UnsupportedFault
from pytest_netfault.proof.calls import Call
from pytest_netfault.proof.clients import ClientUnderTest, Writer
from pytest_netfault.proof.contract import Breakable, Run, Server, Timeouts
from pytest_netfault.proof.disturbances import Disturbances
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline
from pytest_netfault.proof.outages import ACTIVITY, Outages
from pytest_netfault.proof.quiescence import Conclude, Ending, LastWrite
from pytest_netfault.proof.recording import Recording, Remark, ServerState
from pytest_netfault.proof.server_side import ServerSide
from pytest_netfault.proof.trace_builder import decode_utf8, record_trace
from pytest_netfault.proof.writing import Writing
from pytest_netfault.schedules.dead_flows import leaves_dead_flow
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Compact,
    Delete,
    Heal,
    Pause,
    Restart,
    Resume,
    Step,
    Subscribe,
    Via,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
    WriteMany,
    writes_of,
)
from pytest_netfault.store import OpenStore

__all__ = ["play"]

# A flow is waited for to become idle for no more than this share of the time that the client has to notice.
_SHARE_OF_IDLENESS = 0.5
# How often it is asked, while something long is waited for, whether the run is still wanted.
_ASK_SECONDS = 0.25
_WENT_ON = "did not happen, went on"


def play(
    schedule: Schedule,
    *,
    open_store: OpenStore,
    server: Server,
    link: Breakable,
    writer: Writer,
    namespace: str,
    promise: Promise = "every-event",
    timeouts: Timeouts | None = None,
    name: str = "",
    deadline: Deadline = NO_DEADLINE,
) -> Run:
    """Play a schedule to its end, or until the deadline, and return what happened.

    Whatever the server raises is raised here: without a log there is no verdict. What the client raises on
    opening, while its link is whole, is raised too, unless it is an external client that failed.

    Raises:
        DidNotReturn: the server, or the client on opening, did not return from a call.
    """
    task = _Task(schedule, namespace, promise, timeouts or Timeouts(), name, deadline)
    player = _Player(task, open_store, server, link, writer)
    closed = True
    try:
        player.open(open_store, link.address)
        for place, step in enumerate(schedule.steps, start=1):
            if player.is_over():
                break
            player.step(place, step)
        end = player.finish()
    finally:
        closed = player.release()
    return player.run(end, closed=closed)


@dataclass(frozen=True)
class _Task:
    """What is to be played, and within which times."""

    schedule: Schedule
    namespace: str
    promise: Promise
    timeouts: Timeouts
    name: str
    deadline: Deadline

    @property
    def prefix(self) -> str:
        """What is subscribed to."""
        return f"{self.namespace}."


@dataclass(frozen=True)
class _End:
    """The end of a run: what it was decided upon, and nothing that came later."""

    recorded: Trace
    verdict: TraceVerdict
    at: float
    cut_short: bool
    traffic: dict[int, tuple[int, int]]


class _Player:
    """One run. The order of its methods is the order of its life."""

    def __init__(
        self, task: _Task, open_store: OpenStore, server: Server, link: Breakable, writer: Writer
    ) -> None:
        self._task = task
        self._writer = writer
        self._began = time.monotonic()
        self._writing = Writing(task.namespace, open_store)
        self._server = ServerSide(server, self._writing.records, task.namespace, task.deadline)
        self._outages = Outages(link, self.is_over)
        self._recording = Recording(sum(len(writes_of(step)) for step in task.schedule))
        self._remarks: list[Remark] = []
        self._client: ClientUnderTest | None = None
        self._disturbances: Disturbances | None = None
        if task.promise == "comes-back":
            self._disturbances = Disturbances(self._outages.events, lambda: self._server.changes)
        self._before = 0
        self._started: tuple[int, int] | None = None

    def open(self, open_store: OpenStore, address: str) -> None:
        """Look at the server, and open the client."""
        self._server.open()
        self._client = ClientUnderTest()
        self._client.open(open_store, address, self._task.deadline)
        self._outages.mark_change()

    def release(self) -> bool:
        """Let go of everything; False if the client did not close in the time that it has."""
        self._recording.close()
        try:
            self._server.close()
        finally:
            settle, deadline = self._task.timeouts.settle, self._task.deadline
            closed = self._client is None or self._client.close(settle, deadline)
        return closed

    # -- steps --------------------------------------------------------------------------------------------

    def is_over(self) -> bool:
        """Whether no further step is worth making."""
        return self._task.deadline.over or self._recording.full or self._failure() is not None

    def step(self, place: int, step: Step) -> None:
        """Make one step."""
        self._make(place, step)
        self._note_disturbances()

    def _make(self, place: int, step: Step) -> None:
        if isinstance(step, Subscribe):
            self._subscribe(place)
        elif isinstance(step, (Write, Delete, WriteMany)):
            self._write(place, step)
        elif isinstance(step, Break):
            self._break(place, step)
        elif isinstance(step, Heal):
            self._outages.heal()
        elif isinstance(step, (Compact, Restart, Pause, Resume)):
            self._operate(place, step)
        elif isinstance(step, WaitForEvents):
            self._wait_seen(place, step.events)
        elif isinstance(step, (WaitForBytes, WaitForConnection)) and not self._outages.wait_for(
            step, self._patience()
        ):
            self._remark(place, _WENT_ON)

    def _note_disturbances(self) -> None:
        if self._disturbances is not None and self._started is not None and not self._server.paused:
            self._disturbances.note(len(self._recording), self._server.revision)

    def _subscribe(self, place: int | None) -> None:
        assert self._client is not None
        if not self._server.paused:
            self._before = self._server.revision()
        ACTIVITY.note()
        call = self._client.subscribe(self._task.prefix, self._recording.deliver)
        # A subscription that nothing hinders is worth waiting for: without it the schedule proves nothing.
        hindered = self._outages.any or self._server.paused
        settle = self._task.deadline.within(self._task.timeouts.settle)
        call.wait(self._patience() if hindered else settle)
        self._note_subscription(place)

    def _note_subscription(self, place: int | None) -> None:
        call = self._client.subscription if self._client else None
        if call is None or self._started is not None or self._server.paused:
            return
        if not call.done:
            self._remark(place, "has not returned yet")
        elif call.error is not None:
            self._remark(place, f"failed: {error_words(call.error)}")
        else:
            if self._disturbances is not None:
                self._disturbances.begin()
            self._started = (self._before, self._server.revision())
            # A store without a log has no revisions: what was written before the subscription is counted instead.
            newest = self._started[1]
            kept = self._server.log.source == "server"
            self._remark(
                place, f"from revision {newest}" if kept else f"after {counted(newest - 1, 'write')}"
            )

    def _write(self, place: int | None, step: Write | Delete | WriteMany) -> None:
        ACTIVITY.note()
        self._note_subscription(place)
        client = self._client if step.via == "link" else self._writer
        assert client is not None
        assert client.store is not None
        for call in self._writing.make(place, step, client.store, client.caller):
            self._wait_for_write(call, step.via)

    def _wait_for_write(self, call: Call, via: Via) -> None:
        """Until it returns; not for long while it is hindered, which may come about only while it is under way."""
        began = time.monotonic()
        timeouts = self._task.timeouts
        while not call.wait(timeouts.impatience):
            hindered = self._hindered() if via == "link" else self._server.paused
            if hindered or self.is_over() or time.monotonic() - began >= timeouts.settle:
                return

    def _break(self, place: int, step: Break) -> None:
        if leaves_dead_flow(step) and self._started is not None:
            timeouts = self._task.timeouts
            patience = (timeouts.notice or timeouts.settle) * _SHARE_OF_IDLENESS
            self._outages.wait_idle(self._task.deadline.within(patience))
        try:
            self._outages.apply(place, step)
        except UnsupportedFault as error:
            self._remark(place, f"skipped: {error}")

    def _operate(self, place: int, step: Compact | Restart | Pause | Resume) -> None:
        name = step.word
        paused = self._server.paused
        if not self._server.can(name):
            self._remark(place, f"skipped: the server has no {name}()")
        elif isinstance(step, Compact):
            if paused:
                self._remark(place, "skipped: the server is paused")
                return
            revision = self._server.compact(len(self._recording))
            self._remark(place, f"up to revision {revision}")
        elif isinstance(step, Restart):
            self._server.restart(self._outages.hold_back())
            if paused:
                self._remark(place, "the server goes on", "resumed")
            self._writer.renew(self._task.timeouts.settle)
            self._outages.mark_change()
        elif isinstance(step, Pause) and not paused:
            self._server.pause()
            self._remark(place, "the server stands still", "paused")
        elif isinstance(step, Resume) and paused:
            self._server.resume()
            self._remark(place, "the server goes on", "resumed")

    def _wait_seen(self, place: int, events: int | None) -> None:
        self._note_subscription(place)
        if self._server.paused or self._started is None:
            self._remark(place, _WENT_ON)
            return
        until = self._server.revision()
        if events is not None:
            trace = judge_trace(self._record(until)).trace
            committed = sum(
                len(entry.events) for entry in trace.log if entry.revision > trace.start_revision_exclusive
            )
            if committed < events and self._writing.all_done:
                self._remark(place, f"only {committed} were committed, went on")
                return
        deadline = time.monotonic() + self._patience()
        while True:
            items = len(self._recording)
            if events is None:
                seen = not judge_trace(self._record(until)).open_tail
            else:
                seen = self._recording.events >= events
            if seen:
                return
            left = deadline - time.monotonic()
            if left <= 0 or self.is_over() or not self._recording.wait_beyond(items, left):
                self._remark(place, _WENT_ON)
                return

    def _remark(self, place: int | None, text: str, server: ServerState | None = None) -> None:
        self._remarks.append(Remark(time.monotonic(), place, text, server=server))

    def _patience(self) -> float:
        timeouts = self._task.timeouts
        return self._task.deadline.within(timeouts.impatience if self._hindered() else timeouts.patience)

    def _hindered(self) -> bool:
        return self._server.paused or self._outages.hinder

    def _failure(self) -> str | None:
        """How an external client has failed, if one has: this one, or the other writer."""
        return (self._client.failure if self._client else None) or self._writer.failure

    # -- the end of a run ---------------------------------------------------------------------------------

    def finish(self) -> _End:
        """Heal everything, wait until all has arrived or is lost, and judge."""
        if self._server.paused:
            self._server.resume()
            self._remark(None, "the server goes on", "resumed")
        self._outages.heal()
        timeouts = self._task.timeouts.at_the_end_of(self._task.schedule)
        self._subscribe_after_all(timeouts.settle)
        if self._started is None:
            return self._conclude(
                self._record(self._server.revision()), quiet=False, cut_short=self._task.deadline.over
            )
        ending = Ending(timeouts, now=time.monotonic(), confirm=self._disturbances is not None)
        while True:
            self._note_disturbances()
            items = len(self._recording)
            # Read before the stream is looked at: what is committed after it is not expected to be delivered.
            recorded = self._record(self._server.revision())
            verdict = judge_trace(recorded)
            action = ending.decide(
                now=time.monotonic(),
                arrived=sum(len(entry.events) for entry in verdict.log) - verdict.open_tail,
                missing=verdict.open_tail,
                broken=bool(verdict.evidence),
            )
            if isinstance(action, Conclude):
                return self._conclude(recorded, quiet=action.quiet)
            if self.is_over():
                return self._conclude(recorded, quiet=False, cut_short=self._task.deadline.over)
            if isinstance(action, LastWrite):
                self._write(None, Write("last"))
            else:
                self._wait_for_delivery(items, action.seconds)

    def _wait_for_delivery(self, items: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.is_over():
            if self._recording.wait_beyond(items, self._task.deadline.within(min(left, _ASK_SECONDS))):
                return

    def _subscribe_after_all(self, patience: float) -> None:
        """A service that could not subscribe is started again; so is the client, once, when all is healed."""
        call = self._client.subscription if self._client else None
        if call is not None:
            until = time.monotonic() + patience
            while not call.wait(self._task.deadline.within(_ASK_SECONDS)):
                if self.is_over() or time.monotonic() >= until:
                    break
            self._note_subscription(None)
        if self._started is None and call is not None and call.done and not self.is_over():
            self._subscribe(None)

    def _record(self, until: int) -> Trace:
        # The stream first and then the log: whatever was delivered must be in it.
        delivered = [one.delivery for one in self._recording.snapshot()]
        store = self._client.store if self._client else None
        return record_trace(
            name=self._task.name,
            promise=self._task.promise,
            namespace=self._task.namespace,
            log=self._server.committed(getattr(store, "decode", None) or decode_utf8),
            delivered=delivered,
            # A subscribe() that has not returned has fixed its start, or will, at or behind where it began.
            started=self._started or (self._before, until),
            until=until,
            compactions=self._server.compactions,
            quiet=False,
            log_from=self._server.log.source,
            writes=self._server.known_writes,
            held=self._server.log.held,
            began=self._began,
            disturbances=self._disturbances.last if self._disturbances else None,
        )

    def _conclude(self, recorded: Trace, *, quiet: bool, cut_short: bool = False) -> _End:
        recorded = replace(
            recorded,
            quiet_at_end=quiet,
            inconclusive=self._proves_nothing(cut_short),
            client_failed=self._failure(),
        )
        return _End(recorded, judge_trace(recorded), time.monotonic(), cut_short, self._outages.traffic())

    def _proves_nothing(self, cut_short: bool) -> str | None:
        """Why nothing that is kept was put to the test, if it was not."""
        if self._started is None:
            return "there was no subscription"
        if self._recording.full:
            return "there were too many deliveries to keep them all"
        return "its time was up before it had ended" if cut_short else None

    def run(self, end: _End, *, closed: bool) -> Run:
        """What happened, as data."""
        failure = self._failure()
        if failure is not None and end.recorded.client_failed is None:
            recorded = replace(end.recorded, client_failed=failure)
            end = replace(end, recorded=recorded, verdict=judge_trace(recorded))
        delivered = self._recording.snapshot()[: len(end.recorded.stream)]
        return Run(
            schedule=self._task.schedule,
            trace=end.verdict.trace,
            verdict=end.verdict,
            writes=self._server.known_writes,
            faults=self._outages.records(),
            server_troubles=len(self._server.troubles),
            remarks=(*self._remarks, *self._said(end.at)),
            events=self._outages.events(),
            traffic=end.traffic,
            began=self._began,
            ended=end.at,
            subscribed=self._started is not None,
            closed=closed,
            delivered_at=tuple(one.time for one in delivered),
            troubled_at=min(
                [*self._outages.met_traffic_since(), *self._server.troubles],
                default=None,
            ),
            cut_short=end.cut_short,
            left_out=self._recording.left_out,
            recorded=end.recorded,
        )

    def _said(self, until: float) -> Sequence[Remark]:
        """What an external client had to say until the end of the run, as remarks."""
        said = self._client.said if self._client else ()
        return [Remark(at, None, printable(text), "the client") for at, text in said if at <= until]
