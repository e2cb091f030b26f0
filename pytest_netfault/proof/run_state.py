"""A run in progress: what takes part in it, what was recorded so far, and its result.

Its steps are made by ``runner.py``.

* It owns the client that it opened, and its threads; both are released in reverse order, also after Ctrl-C. The link,
  the server and the writer belong to the caller.
* When an external client has failed (its program crashed), the run proves nothing. That is checked once more after it
  was closed: a program may end a moment after the mistake that ended the run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_netfault.checks.guarantees import TraceVerdict, judge_trace
from pytest_netfault.checks.trace import Promise, Trace
from pytest_netfault.common.printable import error_words, printable
from pytest_netfault.common.wording import counted
from pytest_netfault.proof.clients import ClientUnderTest, Writer
from pytest_netfault.proof.contract import Breakable, Run, Server, Timeouts
from pytest_netfault.proof.disturbances import Disturbances
from pytest_netfault.proof.limits import Deadline
from pytest_netfault.proof.outages import ACTIVITY, Outages
from pytest_netfault.proof.recording import Recording, Remark, ServerState
from pytest_netfault.proof.server_side import ServerSide
from pytest_netfault.proof.trace_builder import decode_utf8, record_trace
from pytest_netfault.proof.writing import Writing
from pytest_netfault.proxy.wire import ConnectionFrames
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import writes_of
from pytest_netfault.store import OpenStore

__all__ = ["End", "RunState", "Task"]


@dataclass(frozen=True)
class Task:
    """What is to be played, and within which times."""

    schedule: Schedule
    namespace: str
    promise: Promise
    timeouts: Timeouts
    name: str
    deadline: Deadline
    learn: bool = False

    @property
    def prefix(self) -> str:
        """What is subscribed to."""
        return f"{self.namespace}."


@dataclass(frozen=True)
class End:
    """The end of a run: what it was decided upon, and nothing that came later."""

    recorded: Trace
    verdict: TraceVerdict
    at: float
    cut_short: bool
    traffic: dict[int, tuple[int, int]]
    frames: dict[int, ConnectionFrames]


class RunState:
    """One run: its client, link, server and writer, and what was recorded of them.

    Attributes:
        started: the revisions just before and just after the subscription began; None if none has come about.
        client: the client under test, once it is open.
        disturbances: what disturbed the subscriber, where the promise is about that.
    """

    def __init__(
        self, task: Task, open_store: OpenStore, server: Server, link: Breakable, writer: Writer
    ) -> None:
        self.task = task
        self.writer = writer
        self._began = time.monotonic()
        self.writing = Writing(task.namespace, open_store)
        self.server = ServerSide(server, self.writing.records, task.namespace, task.deadline)
        self.outages = Outages(link, self.is_over)
        self.recording = Recording(sum(len(writes_of(step)) for step in task.schedule))
        self._remarks: list[Remark] = []
        self.client: ClientUnderTest | None = None
        self.disturbances: Disturbances | None = None
        if task.promise == "comes-back":
            self.disturbances = Disturbances(self.outages.events, lambda: self.server.changes)
        self._before = 0
        self.started: tuple[int, int] | None = None

    def open(self, open_store: OpenStore, address: str) -> None:
        """Look at the server, and open the client."""
        self.server.open()
        self.client = ClientUnderTest()
        self.client.open(open_store, address, self.task.deadline)
        self.outages.mark_change()

    def release(self) -> bool:
        """Let go of everything; False if the client did not close in the time that it has."""
        self.recording.close()
        try:
            self.server.close()
        finally:
            settle, deadline = self.task.timeouts.settle, self.task.deadline
            closed = self.client is None or self.client.close(settle, deadline)
        return closed

    def is_over(self) -> bool:
        """Whether no further step is worth making."""
        return self.task.deadline.over or self.recording.full or self.failure() is not None

    def note_disturbances(self) -> None:
        """Record what has disturbed the subscriber by now."""
        if self.disturbances is not None and self.started is not None and not self.server.paused:
            self.disturbances.note(len(self.recording), self.server.revision)

    def subscribe(self, place: int | None) -> None:
        """Let the client subscribe, and wait for that; not for long while it is hindered."""
        assert self.client is not None
        if not self.server.paused:
            self._before = self.server.revision()
        ACTIVITY.note()
        call = self.client.subscribe(self.task.prefix, self.recording.deliver)
        # A subscription that nothing hinders is worth waiting for: without it the schedule proves nothing.
        hindered = self.outages.any or self.server.paused
        settle = self.task.deadline.within(self.task.timeouts.settle)
        call.wait(self.patience() if hindered else settle)
        self.note_subscription(place)

    def note_subscription(self, place: int | None) -> None:
        """Record whether the subscription has come about by now."""
        call = self.client.subscription if self.client else None
        if call is None or self.started is not None or self.server.paused:
            return
        if not call.done:
            self.remark(place, "has not returned yet")
        elif call.error is not None:
            self.remark(place, f"failed: {error_words(call.error)}")
        else:
            if self.disturbances is not None:
                self.disturbances.begin()
            self.started = (self._before, self.server.revision())
            # A store without a log has no revisions: what was written before the subscription is counted instead.
            newest = self.started[1]
            kept = self.server.log.source == "server"
            self.remark(place, f"from revision {newest}" if kept else f"after {counted(newest - 1, 'write')}")

    def remark(self, place: int | None, text: str, server: ServerState | None = None) -> None:
        """Record a remark on a step, for people."""
        self._remarks.append(Remark(time.monotonic(), place, text, server=server))

    def patience(self) -> float:
        """How long a step is waited for now, in seconds."""
        timeouts = self.task.timeouts
        return self.task.deadline.within(timeouts.impatience if self.hindered() else timeouts.patience)

    def hindered(self) -> bool:
        """Whether a call of the client may hang now."""
        return self.server.paused or self.outages.hinder

    def failure(self) -> str | None:
        """How an external client has failed, if one has: this one, or the other writer."""
        return (self.client.failure if self.client else None) or self.writer.failure

    def record(self, until: int) -> Trace:
        """The trace so far, with the log up to a revision."""
        # The stream first and then the log: whatever was delivered must be in it.
        delivered = [one.delivery for one in self.recording.snapshot()]
        store = self.client.store if self.client else None
        return record_trace(
            name=self.task.name,
            promise=self.task.promise,
            namespace=self.task.namespace,
            log=self.server.committed(getattr(store, "decode", None) or decode_utf8),
            delivered=delivered,
            # A subscribe() that has not returned has fixed its start, or will, at or behind where it began.
            started=self.started or (self._before, until),
            until=until,
            compactions=self.server.compactions,
            quiet=False,
            log_from=self.server.log.source,
            writes=self.server.known_writes,
            held=self.server.log.held,
            began=self._began,
            disturbances=self.disturbances.last if self.disturbances else None,
        )

    def conclude(self, recorded: Trace, *, quiet: bool, cut_short: bool = False) -> End:
        """Judge the trace with which the run ends now."""
        recorded = replace(
            recorded,
            quiet_at_end=quiet,
            inconclusive=self._proves_nothing(cut_short),
            client_failed=self.failure(),
        )
        frames = self.outages.frames() if self.task.learn else {}
        return End(
            recorded, judge_trace(recorded), time.monotonic(), cut_short, self.outages.traffic(), frames
        )

    def _proves_nothing(self, cut_short: bool) -> str | None:
        """Why nothing that is kept was put to the test, if it was not."""
        if self.started is None:
            return "there was no subscription"
        if self.recording.full:
            return "there were too many deliveries to keep them all"
        return "its time was up before it had ended" if cut_short else None

    def result(self, end: End, *, closed: bool) -> Run:
        """What happened, as data."""
        failure = self.failure()
        if failure is not None and end.recorded.client_failed is None:
            recorded = replace(end.recorded, client_failed=failure)
            end = replace(end, recorded=recorded, verdict=judge_trace(recorded))
        delivered = self.recording.snapshot()[: len(end.recorded.stream)]
        return Run(
            schedule=self.task.schedule,
            trace=end.verdict.trace,
            verdict=end.verdict,
            writes=self.server.known_writes,
            faults=self.outages.records(),
            server_troubles=len(self.server.troubles),
            remarks=(*self._remarks, *self._said(end.at)),
            events=self.outages.events(),
            traffic=end.traffic,
            frames=end.frames,
            began=self._began,
            ended=end.at,
            subscribed=self.started is not None,
            closed=closed,
            delivered_at=tuple(one.time for one in delivered),
            troubled_at=min(
                [*self.outages.met_traffic_since(), *self.server.troubles],
                default=None,
            ),
            cut_short=end.cut_short,
            left_out=self.recording.left_out,
            recorded=end.recorded,
        )

    def _said(self, until: float) -> Sequence[Remark]:
        """What an external client had to say until the end of the run, as remarks."""
        said = self.client.said if self.client else ()
        return [Remark(at, None, printable(text), "the client") for at, text in said if at <= until]
