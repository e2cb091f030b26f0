"""Plays one schedule against a client, its link and its server, and records what happened.

::

    schedule --> Player --> RunState --> Outages           the link: faults, and moments on it
                                |   +--> ServerSide        compact, restart, pause, resume, and the log
                                |   +--> Writer            writes directly, as another service would
                                |   +--> ClientUnderTest   behind the link: subscribes, and writes too
                                v
                               Run       what happened, as data

How a run ends is decided in ``quiescence.py``.

* Every wait has a bound, and none of them decides a verdict but ``settle``. So has every call of the client and of the
  server (``limits.py``). When the deadline of the proof comes, no further step is made, and what happened is judged.
* When an external client has failed (its program crashed), no further step is made.
"""

from __future__ import annotations

import time

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import Promise
from pytest_netfault.faults import UnsupportedFault
from pytest_netfault.proof.calls import Call
from pytest_netfault.proof.clients import Writer
from pytest_netfault.proof.contract import Breakable, Run, Server, Timeouts
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline
from pytest_netfault.proof.outages import ACTIVITY
from pytest_netfault.proof.quiescence import Account, Conclude, Ending, LastWrite
from pytest_netfault.proof.run_state import End, RunState, Task
from pytest_netfault.proof.starved import Starved
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
    learn: bool = False,
) -> Run:
    """Play a schedule to its end, or until the deadline, and return what happened.

    Whatever the server raises is raised here: without a log there is no verdict. What the client raises on
    opening, while its link is whole, is raised too, unless it is an external client that failed.

    Args:
        learn: the frames that the connections carry are wanted, too.

    Raises:
        DidNotReturn: the server, or the client on opening, did not return from a call.
    """
    task = Task(schedule, namespace, promise, timeouts or Timeouts(), name, deadline, learn)
    run = RunState(task, open_store, server, link, writer)
    player = _Player(run)
    closed = True
    try:
        run.open(open_store, link.address)
        for place, step in enumerate(schedule.steps, start=1):
            if run.is_over():
                break
            player.step(place, step)
        end = player.finish()
    finally:
        closed = run.release()
    return run.result(end, closed=closed)


class _Player:
    """Makes the steps of a run, and waits for its end."""

    def __init__(self, run: RunState) -> None:
        self._run = run

    def step(self, place: int, step: Step) -> None:
        """Make one step."""
        self._make(place, step)
        self._run.outages.note_met()
        self._run.note_disturbances()

    def _make(self, place: int, step: Step) -> None:
        if isinstance(step, Subscribe):
            self._run.subscribe(place)
        elif isinstance(step, (Write, Delete, WriteMany)):
            self._write(place, step)
        elif isinstance(step, Break):
            self._break(place, step)
        elif isinstance(step, Heal):
            self._run.outages.heal()
        elif isinstance(step, (Compact, Restart, Pause, Resume)):
            self._operate(place, step)
        elif isinstance(step, WaitForEvents):
            self._wait_seen(place, step.events)
        elif isinstance(step, (WaitForBytes, WaitForConnection)) and not self._run.outages.wait_for(
            step, self._run.patience()
        ):
            self._run.remark(place, _WENT_ON)

    def _write(self, place: int | None, step: Write | Delete | WriteMany) -> None:
        ACTIVITY.note()
        self._run.note_subscription(place)
        client = self._run.client if step.via == "link" else self._run.writer
        assert client is not None
        assert client.store is not None
        for call in self._run.writing.make(place, step, client.store, client.caller):
            self._wait_for_write(call, step.via)

    def _wait_for_write(self, call: Call, via: Via) -> None:
        """Until it returns; not for long while it is hindered, which may come about only while it is under way."""
        began = time.monotonic()
        timeouts = self._run.task.timeouts
        while not call.wait(timeouts.impatience):
            hindered = self._run.hindered() if via == "link" else self._run.server.paused
            if hindered or self._run.is_over() or time.monotonic() - began >= timeouts.settle:
                return

    def _break(self, place: int, step: Break) -> None:
        if leaves_dead_flow(step) and self._run.started is not None:
            timeouts = self._run.task.timeouts
            patience = (timeouts.notice or timeouts.settle) * _SHARE_OF_IDLENESS
            self._run.outages.wait_idle(self._run.task.deadline.within(patience))
        try:
            self._run.outages.apply(place, step)
        except UnsupportedFault as error:
            self._run.remark(place, f"skipped: {error}")

    def _operate(self, place: int, step: Compact | Restart | Pause | Resume) -> None:
        name = step.word
        paused = self._run.server.paused
        if not self._run.server.can(name):
            self._run.remark(place, f"skipped: the server has no {name}()")
        elif isinstance(step, Compact):
            if paused:
                self._run.remark(place, "skipped: the server is paused")
                return
            revision = self._run.server.compact(len(self._run.recording))
            self._run.remark(place, f"up to revision {revision}", "compacted")
        elif isinstance(step, Restart):
            self._run.server.restart(self._run.outages.hold_back())
            if paused:
                self._run.remark(place, "the server goes on", "resumed")
            self._run.writer.renew(self._run.task.timeouts.settle)
            self._run.outages.mark_change()
        elif isinstance(step, Pause) and not paused:
            self._run.server.pause()
            self._run.remark(place, "the server stands still", "paused")
        elif isinstance(step, Resume) and paused:
            self._run.server.resume()
            self._run.remark(place, "the server goes on", "resumed")

    def _wait_seen(self, place: int, events: int | None) -> None:
        self._run.note_subscription(place)
        if self._run.server.paused or self._run.started is None:
            self._run.remark(place, _WENT_ON)
            return
        until = self._run.server.revision()
        if events is not None:
            trace = judge_trace(self._run.record(until)).trace
            committed = sum(
                len(entry.events) for entry in trace.log if entry.revision > trace.start_revision_exclusive
            )
            if committed < events and self._run.writing.all_done:
                self._run.remark(place, f"only {committed} were committed, went on")
                return
        deadline = time.monotonic() + self._run.patience()
        while True:
            items = len(self._run.recording)
            if events is None:
                seen = not judge_trace(self._run.record(until)).open_tail
            else:
                seen = self._run.recording.events >= events
            if seen:
                return
            left = deadline - time.monotonic()
            if left <= 0 or self._run.is_over() or not self._run.recording.wait_beyond(items, left):
                self._run.remark(place, _WENT_ON)
                return

    def finish(self) -> End:
        """Heal everything, wait until all has arrived or is lost, and judge."""
        try:
            return self._finish()
        finally:
            self._run.outages.heal_all()

    def _finish(self) -> End:
        if self._run.server.paused:
            self._run.server.resume()
            self._run.remark(None, "the server goes on", "resumed")
        self._run.outages.heal_for_the_end()
        timeouts = self._run.task.timeouts.at_the_end_of(self._run.task.schedule)
        self._subscribe_after_all(timeouts.settle)
        if self._run.started is None:
            return self._run.conclude(
                self._run.record(self._run.server.revision()),
                quiet=False,
                cut_short=self._run.task.deadline.over,
            )
        confirm = self._run.disturbances is not None
        ending, starved = Ending(timeouts, now=time.monotonic(), confirm=confirm), Starved()
        while True:
            self._run.note_disturbances()
            if self._run.outages.note_recovery(timeouts.patience):
                ending = Ending(
                    timeouts, now=time.monotonic(), confirm=confirm
                )  # it has its time from here on
            items = len(self._run.recording)
            # Read before the stream is looked at: what is committed after it is not expected to be delivered.
            recorded = self._run.record(self._run.server.revision())
            verdict = judge_trace(recorded)
            action = ending.decide(
                now=time.monotonic(),
                arrived=sum(len(entry.events) for entry in verdict.log) - verdict.open_tail,
                missing=verdict.open_tail,
                broken=bool(verdict.evidence),
                items=items,
            )
            if isinstance(action, Conclude):
                return self._run.conclude(recorded, quiet=action.quiet)
            if self._run.is_over():
                return self._run.conclude(recorded, quiet=False, cut_short=self._run.task.deadline.over)
            if isinstance(action, Account):
                ending.account(starved.take())
            elif isinstance(action, LastWrite):
                self._write(None, Write("last"))
            else:
                soon = min(action.seconds, _ASK_SECONDS) if self._run.outages.waits else action.seconds
                self._wait_for_delivery(items, soon)

    def _wait_for_delivery(self, items: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._run.is_over():
            if self._run.recording.wait_beyond(
                items, self._run.task.deadline.within(min(left, _ASK_SECONDS))
            ):
                return

    def _subscribe_after_all(self, patience: float) -> None:
        """A service that could not subscribe is started again; so is the client, once, when all is healed."""
        call = self._run.client.subscription if self._run.client else None
        if call is not None:
            until = time.monotonic() + patience
            while not call.wait(self._run.task.deadline.within(_ASK_SECONDS)):
                if self._run.is_over() or time.monotonic() >= until:
                    break
            self._run.note_subscription(None)
        if self._run.started is None and call is not None and call.done and not self._run.is_over():
            self._run.subscribe(None)
