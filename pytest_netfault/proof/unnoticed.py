"""The result for a dead flow in a run: whether the client noticed it, and the message about one that never did."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_netfault.events import LinkEvent
from pytest_netfault.proof.contract import Run
from pytest_netfault.schedules.dead_flows import leaves_dead_flow

__all__ = ["DeadFlow", "dead_flow_of", "found_out", "in_words", "never_noticed"]

# What was on its way to the subscriber when the flow died is delivered within this many seconds on any machine.
_ON_ITS_WAY_SECONDS = 1.0


@dataclass(frozen=True)
class DeadFlow:
    """The first flow of a run that died without a word.

    Attributes:
        place: of the step that killed it, from 1.
        connections: the numbers of the connections that died.
        at: when, on the clock of the link's events.
        since: the numbers of the connections that the client has opened since.
        silent: whether nothing arrived at the subscriber any more.
    """

    place: int
    connections: tuple[int, ...]
    at: float
    since: tuple[int, ...]
    silent: bool

    @property
    def name(self) -> str:
        """The connections in words.

        >>> DeadFlow(4, (1, 2, 3), 0.0, (), True).name, DeadFlow(4, (2,), 0.0, (), True).name
        ('connections #1, #2 and #3', 'connection #2')
        """
        numbers = [f"#{number}" for number in self.connections]
        if len(numbers) == 1:
            return f"connection {numbers[0]}"
        return f"connections {', '.join(numbers[:-1])} and {numbers[-1]}"


def dead_flow_of(run: Run) -> DeadFlow | None:
    """The first flow that died without a word in a run; None if none that was open did."""
    steps = run.schedule.steps
    for fault in run.faults:
        if fault.met_traffic and leaves_dead_flow(steps[fault.place - 1]):
            hits = [event for event in run.events if event.kind == "hit" and event.fault_id == fault.fault_id]
            if hits:
                return _dead_flow(run, fault.place, hits)
    return None


def _dead_flow(run: Run, place: int, hits: list[LinkEvent]) -> DeadFlow:
    at = hits[0].time
    return DeadFlow(
        place,
        tuple(sorted({event.connection for event in hits if event.connection is not None})),
        at,
        tuple(
            event.connection
            for event in run.events
            if event.kind == "accepted" and event.time > at and event.connection is not None
        ),
        not any(time > at + _ON_ITS_WAY_SECONDS for time in run.delivered_at),
    )


def found_out(run: Run) -> bool:
    """Whether a flow died without a word and all was delivered nevertheless."""
    return not run.broken and run.conclusive and dead_flow_of(run) is not None


def never_noticed(run: Run) -> DeadFlow | None:
    """The dead flow behind which an update was waited for in vain; None if something else was wrong."""
    flow = dead_flow_of(run)
    return flow if flow is not None and flow.silent and run.verdict.lost and run.trace.quiet_at_end else None


def in_words(flow: DeadFlow, notice: float | None) -> str:
    """What happened to a client that never noticed, and what helps."""
    patience = "" if notice is None else f" within {notice:g} s (notice={notice:g})"
    opened = "" if not flow.since else f", although it has opened #{flow.since[0]} since"
    return (
        f"The client never noticed a dead flow: {flow.name} died without a word in step {flow.place} and nothing "
        f"arrived{patience}{opened}. New connections work. What helps: a heartbeat or keepalive of the application "
        f"with a time limit, and a reconnect when it fails."
    )
