"""Plays one schedule against a client, its link and its server, and takes down what happened.

::

    schedule --> Player --> link      faults
                   |   +--> server    compact, restart, pause, resume, and the log
                   |   +--> writer    writes past the link, as another service would
                   |   +--> subject   the client behind the link: subscribes, and writes too
                   v
                  Run       what happened, as data

How a run ends is decided in ``ending.py``.

Rules of this file:

* No write is retried, whatever it raised. A write that was not answered is unknown, and later ones of the same
  client wait behind it.
* Every wait has a bound, and none of them decides a verdict but ``settle``. So has every call of the client and of the
  server (``limits.py``). When the deadline of the proof comes, no further step is made, and what happened is judged.
* The player owns the subject that it opened, and its threads; both are let go in reverse order, also after Ctrl-C.
  The link, the server and the writer belong to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pytest_netfault.checks.guarantees import TraceVerdict, judge_trace
from pytest_netfault.checks.trace import Compaction, Promise, Trace
from pytest_netfault.common.printable import error_words
from pytest_netfault.common.wording import counted
from pytest_netfault.faults import Blackhole, Cut, Delay, Refuse, Sever, StallAccept, UnsupportedFault
from pytest_netfault.proof.calls import Call, Caller
from pytest_netfault.proof.clients import Writer, close_client, open_client
from pytest_netfault.proof.contract import Breakable, InForce, Pace, Run, Server
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline, ask
from pytest_netfault.proof.oracle import Journal, ServerLog, Truth, has_log
from pytest_netfault.proof.outcomes import rejections
from pytest_netfault.proof.quiescence import Conclude, Ending, LastWrite
from pytest_netfault.proof.recording import (
    PAUSED,
    RESUMED,
    FaultRecord,
    Outcome,
    Recording,
    Remark,
    WriteRecord,
)
from pytest_netfault.proof.trace_builder import decode_utf8, record_trace
from pytest_netfault.schedules.dead_flows import leaves_dead_flow
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Compact,
    Connected,
    Delete,
    Heal,
    Passed,
    Pause,
    Restart,
    Resume,
    Seen,
    Step,
    Subscribe,
    Via,
    Write,
    WriteMany,
    writes_of,
)
from pytest_netfault.store import OpenStore, Store

__all__ = ["play"]

# Longer than any restart takes: what waits for one is let go by healing, not by the clock.
_HELD_SECONDS = 3600.0
_JOIN_SECONDS = 5.0
# After Ctrl-C, so long is waited for a restart of the server, or a pause, to come to its end.
_FINISH_SECONDS = 10.0
# A store that others write to as well never stands still; then it is restarted all the same.
_STILL_SECONDS = 5.0
# A flow on which nothing has happened for so long is idle; gRPC sends its ping within this time. It is waited for for
# no more than this share of the time that the client has to notice.
_IDLE_SECONDS, _SHARE_OF_IDLENESS = 1.0, 0.5
# How often it is asked, while something long is waited for, whether the run is still wanted.
_ASK_SECONDS = 0.25

Changes = tuple[tuple[str, "str | None"], ...]


def play(
    schedule: Schedule,
    *,
    open_store: OpenStore,
    server: Server,
    link: Breakable,
    writer: Writer,
    namespace: str,
    promise: Promise = "every-event",
    pace: Pace | None = None,
    name: str = "",
    deadline: Deadline = NO_DEADLINE,
) -> Run:
    """Play a schedule to its end, or until the deadline, and return what happened.

    Whatever the server raises is raised here: without the truth there is no verdict. What the subject raises on
    opening, while its link is whole, is raised too.

    Raises:
        DidNotReturn: the server, or the client on opening, did not return from a call.
    """
    player = _Player(
        schedule, open_store, server, link, writer, namespace, promise, pace or Pace(), name, deadline
    )
    try:
        player.open()
        for place, step in enumerate(schedule.steps, start=1):
            if player.is_over():
                break
            player.step(place, step)
        player.finish()
    finally:
        player.release()
    return player.run()


class _Activity:
    """When a client of any run of this process last subscribed or wrote."""

    last = float("-inf")


_ACTIVITY = _Activity()


class _Player:
    """One run. The order of its methods is the order of its life."""

    def __init__(
        self,
        schedule: Schedule,
        open_store: OpenStore,
        server: Server,
        link: Breakable,
        writer: Writer,
        namespace: str,
        promise: Promise,
        pace: Pace,
        name: str,
        deadline: Deadline,
    ) -> None:
        self._schedule = schedule
        self._open_store = open_store
        self._server: Any = server
        self._link = link
        self._writer = writer
        self._namespace = namespace
        self._promise = promise
        self._pace = pace
        self._name = name
        self._deadline = deadline
        self._cut_short = False
        self._began = self._ended = time.monotonic()
        self._server_calls = Caller("server")
        self._recording = Recording(sum(len(writes_of(step)) for step in schedule))
        self._remarks: list[Remark] = []
        self._calls: list[tuple[int | None, Via, Changes, Call]] = []
        self._faults: list[tuple[int, InForce, float]] = []  # with the moment since which it holds
        self._compactions: list[Compaction] = []
        self._values: dict[str, str] = {}
        self._healable: list[InForce] = []
        self._server_troubles: list[float] = []  # when the server was restarted or paused
        self._paused = False
        self._dead_flow = False
        self._store: Store | None = None
        self._subject_calls: Caller | None = None
        self._subscriber: Caller | None = None
        self._subscription: Call | None = None
        self._started: tuple[int, int] | None = None
        self._before = 0
        self._changed = (0, 0, 0)  # connections, bytes up and bytes down when the link last changed
        self._closed = True
        self._writes: tuple[WriteRecord, ...] = ()
        self._traffic: dict[int, tuple[int, int]] = {}
        self._recorded: Trace | None = None
        self._verdict: TraceVerdict | None = None

    # -- the beginning and the end ----------------------------------------------------------------------

    def open(self) -> None:
        self._truth: Truth = (
            self._ask("server.revision()", ServerLog, self._server)
            if has_log(self._server)
            else Journal(lambda: self._writes, self._server, f"{self._namespace}.")
        )
        self._subject_calls = Caller("link writer")
        self._subscriber = Caller("subscriber")
        self._store = open_client(self._subject_calls, self._open_store, self._link.address, self._deadline)
        self._mark_change()

    def release(self) -> None:
        self._recording.close()
        try:
            if self._paused:
                self._paused = False
                self._operation("resume")
        finally:
            self._server_calls.close()
            self._close_client()

    def _close_client(self) -> None:
        if self._store is not None and self._subject_calls is not None:
            seconds = self._deadline.for_closing(self._pace.settle)
            in_time = close_client(self._store, self._subject_calls, seconds)
            # Who was given less than the time that it has is not said to have exceeded it.
            self._closed = in_time or seconds < self._pace.settle
        elif self._subject_calls is not None:
            self._subject_calls.close()
        if self._subscriber is not None:
            # A thread that is in no call ends at once; one that hangs in subscribe() is the client's.
            idle = self._subscription is None or self._subscription.done
            self._subscriber.close(_JOIN_SECONDS if idle else 0.0)

    def run(self) -> Run:
        assert self._recorded is not None
        assert self._verdict is not None
        handed = self._recording.snapshot()[: len(self._recorded.stream)]
        return Run(
            schedule=self._schedule,
            trace=self._verdict.trace,
            verdict=self._verdict,
            writes=self._writes,
            write_breakages=self._verdict.writes,
            log=self._verdict.log,
            faults=tuple(FaultRecord(place, one.fault, one.met_traffic) for place, one, _ in self._faults),
            server_troubles=len(self._server_troubles),
            remarks=tuple(self._remarks),
            events=tuple(self._link.events),
            traffic=self._traffic,
            began=self._began,
            ended=self._ended,
            subscribed=self._started is not None,
            closed=self._closed,
            handed_at=tuple(one.time for one in handed),
            troubled_at=min(
                [*(since for _, one, since in self._faults if one.met_traffic), *self._server_troubles],
                default=None,
            ),
            cut_short=self._cut_short,
            left_out=self._recording.left_out,
            flooded=self._recording.full,
            recorded=self._recorded,
        )

    # -- what is asked of the server ----------------------------------------------------------------------

    def _ask(self, what: str, function: Callable[..., Any], *arguments: Any, finish: float = 0.0) -> Any:
        return ask(self._server_calls, self._deadline, what, function, *arguments, finish=finish)

    def _revision(self) -> int:
        """The store's revision; what was acknowledged by now must be in the log, or the state, that is read next."""
        self._writes = self._write_records()
        what = "server.revision()" if has_log(self._server) else "server.read()"
        revision: int = self._ask(what, self._truth.revision)
        return revision

    def _operation(self, name: str) -> Any:
        return self._ask(f"server.{name}()", getattr(self._server, name), finish=_FINISH_SECONDS)

    # -- steps --------------------------------------------------------------------------------------------

    def is_over(self) -> bool:
        """Whether no further step is worth making."""
        return self._deadline.over or self._recording.full

    def step(self, place: int, step: Step) -> None:
        if isinstance(step, Subscribe):
            self._subscribe(place)
        elif isinstance(step, (Write, Delete, WriteMany)):
            self._write(place, step)
        elif isinstance(step, Break):
            self._break(place, step)
        elif isinstance(step, Heal):
            self._heal()
        elif isinstance(step, (Compact, Restart, Pause, Resume)):
            self._operate(place, step)
        elif isinstance(step, Seen):
            self._wait_seen(place, step.events)
        elif isinstance(step, (Passed, Connected)):
            self._wait_link(place, step)

    def _remark(self, place: int | None, text: str) -> None:
        self._remarks.append(Remark(time.monotonic(), place, text))

    def _patience(self) -> float:
        return self._deadline.within(self._pace.impatience if self._hindered() else self._pace.patience)

    def _hindered(self) -> bool:
        return self._paused or any(map(_stops, self._healable)) or self._dead_flow

    def _subscribe(self, place: int | None) -> None:
        assert self._store is not None
        assert self._subscriber is not None
        if not self._paused:
            self._before = self._revision()
        _ACTIVITY.last = time.monotonic()
        self._subscription = self._subscriber.submit(
            self._store.subscribe, f"{self._namespace}.", self._recording.deliver
        )
        # A subscription that nothing hinders is worth waiting for: without it the schedule proves nothing.
        hindered = bool(self._faults) or self._paused
        self._subscription.wait(self._patience() if hindered else self._deadline.within(self._pace.settle))
        self._note_subscription(place)

    def _note_subscription(self, place: int | None) -> None:
        call = self._subscription
        if call is None or self._started is not None or self._paused:
            return
        if not call.done:
            self._remark(place, "has not returned yet")
        elif call.error is not None:
            self._remark(place, f"failed: {error_words(call.error)}")
        else:
            self._started = (self._before, self._revision())
            # A store without a log has no revisions: what was written before the subscription is counted instead.
            newest = self._started[1]
            kept = self._truth.source == "server"
            self._remark(
                place, f"from revision {newest}" if kept else f"after {counted(newest - 1, 'write')}"
            )

    def _write(self, place: int | None, step: Write | Delete | WriteMany, value: str = "") -> None:
        _ACTIVITY.last = time.monotonic()
        self._note_subscription(place)
        changes = self._changes(step, value or f"v{place}")
        if step.via == "link":
            assert self._store is not None
            assert self._subject_calls is not None
            store, caller = self._store, self._subject_calls
        else:
            store, caller = self._writer.store, self._writer.caller
        many = getattr(store, "put_many", None)
        if isinstance(step, WriteMany) and callable(many):
            made = [(changes, caller.submit(many, dict(changes)))]
        else:
            made = [((change,), caller.submit(*_plain_write(store, change))) for change in changes]
        for one, call in made:
            self._calls.append((place, step.via, one, call))
            self._wait_for_write(call, step.via)

    def _wait_for_write(self, call: Call, via: Via) -> None:
        """Until it returns; not for long while it is hindered, which may come about only while it is under way."""
        began = time.monotonic()
        while not call.wait(self._pace.impatience):
            hindered = self._hindered() if via == "link" else self._paused
            if hindered or self._deadline.over or time.monotonic() - began >= self._pace.settle:
                return

    def _changes(self, step: Write | Delete | WriteMany, value: str) -> Changes:
        if isinstance(step, Delete):
            return ((f"{self._namespace}.{step.key}", None),)
        if isinstance(step, WriteMany):
            puts = [(f"{self._namespace}.{key}", value) for key in step.keys]
            self._values.update(dict(puts))
            return (*puts, *((f"{self._namespace}.{key}", None) for key in step.deletes))
        key = f"{self._namespace}{'x' if step.beside else ''}.{step.key}"
        if step.repeat:
            value = self._values.get(key, value)
        self._values[key] = value
        return ((key, value),)

    def _break(self, place: int, step: Break) -> None:
        if leaves_dead_flow(step) and self._started is not None:
            self._wait_idle()
        try:
            in_force = self._link.apply(step.fault)
        except UnsupportedFault as error:
            self._remark(place, f"skipped: {error}")
            return
        self._faults.append((place, in_force, time.monotonic()))
        self._dead_flow = self._dead_flow or leaves_dead_flow(step)
        if not step.lasting:
            self._healable.append(in_force)
        self._mark_change()

    def _heal(self) -> None:
        for fault in reversed(self._healable):
            fault.heal()
        self._healable.clear()

    def _operate(self, place: int, step: Step) -> None:
        name = type(step).__name__.lower()
        if not callable(getattr(self._server, name, None)):
            self._remark(place, f"skipped: the server has no {name}()")
        elif isinstance(step, Compact):
            if self._paused:
                self._remark(place, "skipped: the server is paused")
                return
            handed = len(self._recording)
            revision = self._operation("compact")
            if isinstance(revision, bool) or not isinstance(revision, int):
                revision = self._revision()
            self._compactions.append(Compaction(revision, handed))
            self._remark(place, f"up to revision {revision}")
        elif isinstance(step, Restart):
            self._restart()
            self._server_troubles.append(time.monotonic())
            if self._paused:
                self._paused = False
                self._remark(place, RESUMED)
            self._writer.renew(self._pace.settle)
            self._mark_change()
        elif isinstance(step, Pause) and not self._paused:
            self._operation("pause")
            self._server_troubles.append(time.monotonic())
            self._paused = True
            self._remark(place, PAUSED)
        elif isinstance(step, Resume) and self._paused:
            self._resume(place)

    def _restart(self) -> None:
        """Kill the server and start it again, with nothing under way to it.

        An etcd before 3.5.5 that is killed between applying a write and logging it forgets what it has already shown
        (etcd issue 14370). No client can be right about that, so what still comes up the link waits for the new
        process, and what had come is done: the revision stands still.
        """
        held = self._link.apply(
            Delay(_HELD_SECONDS, direction="up")
        )  # unlike a black hole it lets clients connect
        try:
            revision, until = -1, time.monotonic() + self._deadline.within(_STILL_SECONDS)
            while not self._paused and revision != (revision := self._revision()):
                if time.monotonic() >= until:
                    break
            self._operation("restart")
        finally:
            held.heal()

    def _resume(self, place: int | None) -> None:
        self._operation("resume")
        self._paused = False
        self._remark(place, RESUMED)

    # -- moments ------------------------------------------------------------------------------------------

    def _mark_change(self) -> None:
        self._changed = (self._connections(), self._link.bytes_up, self._link.bytes_down)

    def _connections(self) -> int:
        return sum(event.kind == "accepted" for event in self._link.events)

    def _wait_link(self, place: int, step: Passed | Connected) -> None:
        connections, up, down = self._changed
        if isinstance(step, Connected):
            came = self._poll(lambda: self._connections() > connections)
        elif step.direction == "up":
            came = self._poll(lambda: self._link.bytes_up >= up + step.count)
        else:
            came = self._poll(lambda: self._link.bytes_down >= down + step.count)
        if not came:
            self._remark(place, "did not happen, went on")

    def _poll(self, happened: Callable[[], bool]) -> bool:
        # Whoever reconnects passes its moments within milliseconds; nothing but the link knows them, and a link
        # has no way to call back. Asking every millisecond costs little and lasts half a second at the most.
        deadline = time.monotonic() + self._patience()
        while not happened():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)
        return True

    def _wait_idle(self) -> None:
        """Until nothing happens for a while: what is forgotten in the field is a flow that was idle.

        A client with something under way may notice by that, such as gRPC, which pings some time after an update, and
        would never notice a flow that dies when it is idle. A link that carries heartbeats is never quiet, and one
        that carries what is written beside this not soon, so it is enough if either is: the link, or all who write.
        """
        passed, since = (-1, -1), time.monotonic()
        until = since + self._deadline.within((self._pace.notice or self._pace.settle) * _SHARE_OF_IDLENESS)
        while (now := time.monotonic()) < until and now - min(since, _ACTIVITY.last) < _IDLE_SECONDS:
            if passed != (counts := (self._link.bytes_up, self._link.bytes_down)):
                passed, since = counts, now
            time.sleep(0.01)

    def _wait_seen(self, place: int, events: int | None) -> None:
        self._note_subscription(place)
        if self._paused or self._started is None:
            self._remark(place, "did not happen, went on")
            return
        until = self._revision()
        trace = judge_trace(self._record(until)).trace
        committed = sum(
            len(entry.events) for entry in trace.log if entry.revision > trace.start_revision_exclusive
        )
        if events is not None and committed < events and all(call.done for *_, call in self._calls):
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
            if left <= 0 or not self._recording.wait_beyond(items, left):
                self._remark(place, "did not happen, went on")
                return

    # -- the end of a run ---------------------------------------------------------------------------------

    def finish(self) -> None:
        if self._paused:
            self._resume(None)
        self._heal()
        pace = self._pace.at_the_end_of(self._schedule)
        self._subscribe_after_all(pace.settle)
        if self._started is None:
            self._cut_short = self._deadline.over
            self._conclude(self._record(self._revision()), quiet=False)
            return
        ending = Ending(pace, now=time.monotonic())
        while True:
            items = len(self._recording)
            # Read before the stream is looked at: what is committed after it is nobody's debt.
            until = self._revision()
            recorded = self._record(until)
            verdict = judge_trace(recorded)
            action = ending.decide(
                now=time.monotonic(),
                arrived=sum(len(entry.events) for entry in verdict.log) - verdict.open_tail,
                missing=verdict.open_tail,
                broken=bool(verdict.evidence),
            )
            if isinstance(action, Conclude):
                self._conclude(recorded, quiet=action.quiet)
                return
            if self.is_over():
                self._cut_short = self._deadline.over
                self._conclude(recorded, quiet=False)
                return
            if isinstance(action, LastWrite):
                self._last_write()
            else:
                self._wait_for_delivery(items, action.seconds)

    def _wait_for_delivery(self, items: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.is_over():
            if self._recording.wait_beyond(items, self._deadline.within(min(left, _ASK_SECONDS))):
                return

    def _subscribe_after_all(self, patience: float) -> None:
        """A service that could not subscribe is started again; so is the subject, once, when all is healed."""
        if self._subscription is not None:
            until = time.monotonic() + patience
            while not self._subscription.wait(self._deadline.within(_ASK_SECONDS)):
                if self._deadline.over or time.monotonic() >= until:
                    break
            self._note_subscription(None)
        done = self._subscription is not None and self._subscription.done
        if self._started is None and done and not self._deadline.over:
            self._subscribe(None)

    def _last_write(self) -> None:
        number = 1 + sum(place is None for place, *_ in self._calls)
        self._write(None, Write("last"), value=f"last{number}")

    def _record(self, until: int) -> Trace:
        # The stream first and then the log: whatever was handed over must be in it.
        handed = [one.delivery for one in self._recording.snapshot()]
        decode = getattr(self._store, "decode", None) or decode_utf8
        what = "server.log()" if decode is decode_utf8 else "server.log() with the client's decode()"
        return record_trace(
            name=self._name,
            promise=self._promise,
            namespace=self._namespace,
            log=self._ask(what, self._truth.log, self._namespace, decode),
            handed=handed,
            # A subscribe() that has not returned has fixed its start, or will, at or behind where it began.
            started=self._started or (self._before, until),
            until=until,
            compactions=self._compactions,
            quiet=False,
            log_from=self._truth.source,
            writes=self._writes,
            held=self._truth.held,
            began=self._began,
        )

    def _conclude(self, recorded: Trace, *, quiet: bool) -> None:
        """Judge what the end was decided upon, and nothing that came later."""
        self._ended = time.monotonic()
        self._traffic = self._traffic_so_far()
        self._recorded = replace(recorded, quiet_at_end=quiet, inconclusive=self._proves_nothing())
        self._verdict = judge_trace(self._recorded)

    def _proves_nothing(self) -> str | None:
        """Why nothing that is kept was put to the test, if it was not."""
        if self._started is None:
            return "there was no subscription"
        if self._recording.full:
            return "there were too many deliveries to keep them all"
        return "its time was up before it had ended" if self._cut_short else None

    def _traffic_so_far(self) -> dict[int, tuple[int, int]]:
        ended = {
            event.connection: (event.bytes_up, event.bytes_down)
            for event in self._link.events
            if event.kind == "closed" and event.connection is not None
        }
        return ended | {one.number: (one.bytes_up, one.bytes_down) for one in self._link.connections}

    def _write_records(self) -> tuple[WriteRecord, ...]:
        return tuple(self._write_record(*call) for call in self._calls)

    def _write_record(self, place: int | None, via: Via, changes: Changes, call: Call) -> WriteRecord:
        outcome: Outcome = "info"
        if call.done and call.error is None:
            outcome = "ok"
        elif call.error is not None and isinstance(call.error, rejections(self._open_store)):
            outcome = "fail"
        error = "" if call.error is None else error_words(call.error)
        return WriteRecord(place, via, changes, outcome, call.begun, call.ended, error)


def _stops(active: InForce) -> bool:
    """Whether nothing, or nothing new, can come through while it holds."""
    if isinstance(active.fault, Cut):
        return active.fault.how == "blackhole" and active.met_traffic
    return isinstance(active.fault, (Sever, Refuse, Blackhole, StallAccept))


def _plain_write(store: Store, change: tuple[str, str | None]) -> tuple[Any, ...]:
    key, value = change
    return (store.delete, key) if value is None else (store.put, key, value)
