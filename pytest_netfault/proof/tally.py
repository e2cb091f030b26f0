"""What is counted while a proof runs, and whether that is a proof at all.

What was counted in parts adds up to what was counted in one.

>>> (Tally(examples=2, faults=1) + Tally(examples=3, faults=2)).examples
5
>>> print(Tally(examples=5).proved_nothing())
no write was acknowledged in 5 examples: is this the store that the server is? Deletes of absent keys do not count
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

from pytest_netfault.common.wording import counted, were
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.results import Report
from pytest_netfault.proof.unnoticed import found_out

__all__ = ["Tally"]


@dataclass(frozen=True)
class Tally:
    """What was counted so far.

    Attributes:
        examples: schedules that were played.
        inconclusive: those of them that prove nothing by themselves.
        faults: faults that came into force.
        met: those of them that met traffic.
        faults_that_met_traffic: the same, with restarts and pauses of the server.
        acknowledged: writes that were acknowledged and changed something.
        unsubscribed: examples without a subscription.
        gave_up: examples in which the subscriber was notified that it can no longer be served.
        not_closed: examples in which the client did not close in time.
        without_writes: examples whose schedule writes nothing.
        unexpected: examples in which no update was expected of the subscriber.
        dead_flows: runs in which a flow died without a word and the client found out.
        unjudged_dead_flows: schedules with a dead flow that there was no time for.
        untested: examples in which no update that was expected arrived under a fault that met traffic, or after it.
        client_failures: examples in which an external client failed.
    """

    examples: int = 0
    inconclusive: int = 0
    faults: int = 0
    met: int = 0
    faults_that_met_traffic: int = 0
    acknowledged: int = 0
    unsubscribed: int = 0
    gave_up: int = 0
    not_closed: int = 0
    without_writes: int = 0
    unexpected: int = 0
    untested: int = 0
    dead_flows: int = 0
    unjudged_dead_flows: int = 0
    client_failures: int = 0

    def plus(self, run: Run, *, inconclusive: bool | None = None) -> Tally:
        expected, arrived = run.arrivals
        return Tally(
            self.examples + 1,
            self.inconclusive + (not run.conclusive if inconclusive is None else inconclusive),
            self.faults + len(run.faults),
            self.met + sum(fault.met_traffic for fault in run.faults),
            self.faults_that_met_traffic + run.faults_that_met_traffic,
            self.acknowledged + run.acknowledged,
            self.unsubscribed + (not run.subscribed and run.client_failed is None),
            self.gave_up + run.gave_up,
            self.not_closed + (not run.closed),
            self.without_writes + (not run.schedule.writes),
            self.unexpected + (not expected),
            self.untested + (not arrived),
            self.dead_flows + found_out(run),
            self.unjudged_dead_flows,
            self.client_failures + (run.client_failed is not None),
        )

    def plus_beside(self, run: Run) -> Tally:
        """With a run that was played beside the examples and is none of them."""
        return replace(
            self,
            dead_flows=self.dead_flows + found_out(run),
            not_closed=self.not_closed + (not run.closed),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def report(self, *, seconds: float, seed: int | None) -> Report:
        return Report(
            examples=self.examples,
            inconclusive=self.inconclusive,
            faults_that_met_traffic=self.faults_that_met_traffic,
            wall_seconds=seconds,
            writes_acknowledged=self.acknowledged,
            seed=seed,
            gave_up=self.gave_up,
            not_closed=self.not_closed,
            faults=self.applied,
            dead_flows=self.dead_flows,
            unjudged_dead_flows=self.unjudged_dead_flows,
            client_failures=self.client_failures,
        )

    @property
    def applied(self) -> int:
        """Faults that came into force, restarts and pauses of the server included."""
        return self.faults + self.faults_that_met_traffic - self.met

    def proved_nothing(self, *, holes: int = 0) -> str | None:
        """Why this is no proof, in one sentence; None if it is one.

        Args:
            holes: in a sweep, how many cuts never fired.
        """
        if not self.examples:
            return "no example was played"
        examples = counted(self.examples, "example")
        if self.client_failures * 2 > self.examples:
            return f"the client itself failed in {self.client_failures} of {examples}"
        if not self.acknowledged and self.without_writes == self.examples:
            return f"nothing was to be written in {examples}: a schedule needs a step such as Write('a')"
        if not self.acknowledged:
            return (
                f"no write was acknowledged in {examples}: is this the store that the server is? "
                f"Deletes of absent keys do not count"
            )
        if not self.faults_that_met_traffic and not self.faults:
            return f"nothing was broken in {examples}: a schedule needs a step such as Break(Sever())"
        if not self.faults_that_met_traffic or (self.faults and not self.met):
            return f"no fault met traffic in {examples}: does the client use the address that open_store is given?"
        if self.unsubscribed * 2 > self.examples:
            return f"no subscription came about in {self.unsubscribed} of {examples}"
        if self.gave_up * 2 > self.examples:
            return (
                f"the subscriber was notified that it can no longer be served in {self.gave_up} of {examples}, and "
                f"nothing was expected of it afterwards"
            )
        if self.inconclusive * 2 > self.examples:
            return (
                f"{self.inconclusive} of {examples} {were(self.inconclusive)} inconclusive: "
                f"{self._why_open(holes)}"
            )
        if self.unexpected >= self.examples:
            return (
                f"no update was expected of the subscriber in {examples}: nothing that it subscribed to "
                f"was written after the subscription or, if it only comes back, after the last outage"
            )
        if self.untested >= self.examples:
            return (
                f"none of the updates that were expected of the subscriber in {examples} arrived while a "
                f"fault that met traffic held, or after it: all of them came before"
            )
        return None

    def _why_open(self, holes: int) -> str:
        restless = self.inconclusive - self.unsubscribed - self.client_failures - holes
        reasons = [
            f"no subscription came about in {self.unsubscribed}" if self.unsubscribed else "",
            f"the client itself failed in {self.client_failures}" if self.client_failures else "",
            f"the cut never fired in {holes}" if holes else "",
            f"things had not come to rest in {restless}" if restless > 0 else "",
        ]
        return ", ".join(filter(None, reasons))
