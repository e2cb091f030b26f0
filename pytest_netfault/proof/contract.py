"""What a run needs from outside, and what it returns.

The runner knows neither the proxy nor any server: these protocols say what it asks of a link and of a server. Fakes
satisfy them as well as the real ones do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from pytest_netfault.checks.arrivals import count_arrivals
from pytest_netfault.checks.guarantees import TraceVerdict
from pytest_netfault.checks.trace import Failed, Revision, Trace
from pytest_netfault.checks.writes import WriteBreakage
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Fault
from pytest_netfault.proof.recording import FaultRecord, Remark, WriteRecord
from pytest_netfault.proxy.wire import ConnectionFrames
from pytest_netfault.schedules.dead_flows import has_dead_flow
from pytest_netfault.schedules.schedule import Schedule

__all__ = ["Breakable", "InForce", "Run", "Server", "Timeouts", "can"]


# Seconds between two last writes while a client has yet to notice that a flow is dead.
_LAST_WRITE_EACH = 5


class InForce(Protocol):
    """A fault that was brought into force."""

    @property
    def fault(self) -> Fault: ...
    @property
    def fault_id(self) -> int: ...
    @property
    def met_traffic(self) -> bool: ...
    @property
    def healed(self) -> bool: ...
    def heal(self) -> None: ...


class Breakable(Protocol):
    """What a run needs of a link; ``pytest_netfault.Link`` is one."""

    @property
    def address(self) -> str: ...
    @property
    def bytes_up(self) -> int: ...
    @property
    def bytes_down(self) -> int: ...
    @property
    def connections(self) -> Sequence[Any]: ...
    @property
    def events(self) -> tuple[LinkEvent, ...]: ...
    def apply(self, fault: Fault) -> InForce: ...


class Server(Protocol):
    """The oracle: the store itself, over an undisturbed connection.

    ``compact()``, ``restart()``, ``pause()`` and ``resume()`` are used where they exist. A store that keeps no log has
    neither ``revision()`` nor ``log()``; its ``read(prefix)``, if there is one, gives every key below a prefix with its
    value, as the store holds them now.
    """

    @property
    def address(self) -> str: ...
    def revision(self) -> int: ...
    def log(self, after_revision: int, /) -> Sequence[Any]: ...


def can(server: object, ability: Literal["compact", "restart", "pause"]) -> bool:
    """Whether a server offers this; one that pauses must be able to resume too."""
    if ability == "pause":
        return callable(getattr(server, "pause", None)) and callable(getattr(server, "resume", None))
    return callable(getattr(server, ability, None))


@dataclass(frozen=True)
class Timeouts:
    """How long a run waits for what. All times are seconds.

    Attributes:
        settle: after the last delivery that made progress; what is missing then is lost.
        patience: a step waits this long for its moment, or for its own write, while the link is whole.
        impatience: the same while something is broken, when most moments cannot come.
        last_writes: after how much silence each of the last writes is made, while something is missing. They spread
            over the usual pauses before a reconnect.
        notice: what takes the place of ``settle`` at the end of a schedule in which a flow died without a word; None
            leaves it at ``settle``.
    """

    settle: float = 5.0
    patience: float = 0.5
    impatience: float = 0.1
    last_writes: tuple[float, ...] = (0.25, 0.6, 1.2, 2.5)
    notice: float | None = None

    def at_the_end_of(self, schedule: Schedule) -> Timeouts:
        """The times that hold at the end of this schedule.

        A client that notices a dead flow late comes back late, so last writes are made until then: one that comes back
        at a later place is caught by the first that is delivered to it.

        >>> from pytest_netfault import Break, Forget, Subscribe
        >>> Timeouts(notice=13).at_the_end_of(Schedule([Subscribe(), Break(Forget())])).last_writes
        (0.25, 0.6, 1.2, 2.5, 5.0, 10.0)
        """
        if self.notice is None or not has_dead_flow(schedule):
            return self
        later = tuple(float(second) for second in range(_LAST_WRITE_EACH, int(self.notice), _LAST_WRITE_EACH))
        return replace(self, settle=self.notice, last_writes=self.last_writes + later)


@dataclass(frozen=True)
class Run:
    """What happened.

    Attributes:
        schedule: what was played.
        trace: the subscription against the log, as it was judged: with a revision for everything.
        verdict: what became of the guarantees.
        writes: every write, in order.
        faults: every fault that came into force, in order.
        server_troubles: how often the server was restarted or paused.
        remarks: what became of the steps, in words.
        events: what happened on the link.
        traffic: for each connection of the client under test by its number: bytes up and down until the end of the run.
        began: ``time.monotonic()`` at the start.
        ended: the same when the subscriber was no longer waited for.
        subscribed: whether a subscription was established at all.
        closed: whether the client under test closed in time.
        delivered_at: for each item of the trace's stream, when it was delivered.
        frames: for each of these connections the frames that it carried, in a run from which they were to be learned.
        troubled_at: when the first fault that met traffic came into force, or the server was first restarted or
            paused; None if neither happened.
        left_out: how many deliveries were not kept, because they repeat the one before or there were too many.
        cut_short: whether the deadline of the proof ended it; then it proves nothing, but what is broken stays broken.
        recorded: what happened as it was recorded, with all that the verdict needs; None if that is ``trace``.
    """

    schedule: Schedule
    trace: Trace
    verdict: TraceVerdict
    writes: tuple[WriteRecord, ...]
    faults: tuple[FaultRecord, ...]
    server_troubles: int
    remarks: tuple[Remark, ...]
    events: tuple[LinkEvent, ...]
    traffic: Mapping[int, tuple[int, int]]
    began: float
    ended: float
    subscribed: bool
    closed: bool
    delivered_at: tuple[float, ...]
    troubled_at: float | None = None
    frames: Mapping[int, ConnectionFrames] = field(default_factory=dict)
    cut_short: bool = False
    left_out: int = 0
    recorded: Trace | None = None

    @property
    def naming(self) -> Trace:
        """What says how revisions are called in messages: the trace as it was recorded."""
        return self.recorded or self.trace

    @property
    def broken(self) -> tuple[str, ...]:
        """The broken guarantees: those of the subscription, then those of the writes."""
        return self.verdict.broken

    @property
    def write_breakages(self) -> tuple[WriteBreakage, ...]:
        """Where a writer's outcome differs from the log, or from what the store holds."""
        return self.verdict.writes

    @property
    def log(self) -> tuple[Revision, ...]:
        """What the store committed in the name space of the run and the neighbouring one."""
        return self.verdict.log

    @property
    def client_failed(self) -> str | None:
        """How an external client, this one or the other writer, has failed; then the run proves nothing."""
        return self.naming.client_failed

    @property
    def acknowledged(self) -> int:
        """How many writes were acknowledged; deletes of keys that were not there changed nothing and do not count."""
        deleted = {event.key for entry in self.log for event in entry.events if event.type == "delete"}
        return sum(
            write.outcome == "ok" and any(value is not None or key in deleted for key, value in write.changes)
            for write in self.writes
        )

    @property
    def arrivals(self) -> tuple[int, int]:
        """How many updates were expected of the subscriber, and how many arrived under a fault or after it."""
        return count_arrivals(self.trace, self.delivered_at, self.troubled_at)

    @property
    def faults_that_met_traffic(self) -> int:
        """How many faults met traffic, and how often the server was restarted or paused."""
        return sum(fault.met_traffic for fault in self.faults) + self.server_troubles

    @property
    def gave_up(self) -> bool:
        """Whether the subscriber was notified that it can no longer be served."""
        return any(isinstance(item, Failed) for item in self.trace.stream)

    @property
    def conclusive(self) -> bool:
        """Whether it proves anything: a subscription was there, and things had come to rest or were broken."""
        return self.verdict.verdict != "inconclusive"
