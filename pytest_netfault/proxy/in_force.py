"""The faults in force on a link: what ``apply`` and ``heal`` do to its listener and to its connections.

Rules of this file:

* All methods run on the engine's thread, each as one step: when ``apply`` returns, the fault holds for every open
  connection and for every one to come; when ``heal`` returns, it is gone.
* No fault is known here by its class: what it does to the listener and to open connections is what its traits say, what
  it does to the bytes is its stage.
* A fault with a limit that only some connections or attempts come under (``limits.some``) leaves the port alone. Each
  connection is accepted, gets its number, and is refused, kept waiting or served then, see ``admission.py``.
* What somebody else's code may refuse is asked first: a fault holds for all connections or for none.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Literal

from pytest_netfault.common.wording import counted
from pytest_netfault.events import Cause
from pytest_netfault.faults import Fault, OnHeal
from pytest_netfault.proxy.addresses import UpstreamAddress
from pytest_netfault.proxy.admission import Admission
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.connections import Connections
from pytest_netfault.proxy.cuts import CutStage
from pytest_netfault.proxy.evidence import Evidence, InForce
from pytest_netfault.proxy.guard import guarded
from pytest_netfault.proxy.kernel_effects import KernelEffects, check_supported
from pytest_netfault.proxy.listeners import Port
from pytest_netfault.proxy.observation import EventLog
from pytest_netfault.proxy.pipe import Pipe
from pytest_netfault.proxy.stacking import CustomFault, Ordinals, Place, has_stages, may_wait, stage_of
from pytest_netfault.proxy.stage import Stage
from pytest_netfault.proxy.surroundings import Standing

__all__ = ["FaultsInForce"]


# A few methods more than a class of ours should have: applying, replacing and healing must agree on what is in force,
# and each connection gets the faults in one order.
class FaultsInForce:
    """The faults of a link, in the order in which they came into force.

    Args:
        connections: those of the link.
        listener: its port.
        upstream: where it forwards to.
        seed: what every random choice is made from.
        log: where events are written.
    """

    def __init__(
        self,
        connections: Connections,
        listener: Port,
        upstream: UpstreamAddress,
        *,
        seed: int,
        log: EventLog,
    ) -> None:
        self.applied = 0
        self.active: dict[InForce, None] = {}  # the oldest first
        self.evidence = Evidence(connections, listener)
        self.standing = Standing(self._catch_up)
        self._connections = connections
        self._listener = listener
        self._upstream = upstream
        self._seed = seed
        self._log = log
        self._kernel = KernelEffects(connections, listener)
        self._ordinals: dict[type[Fault], Ordinals] = {}
        self._admission = Admission(connections, self.active, self._heal_used_up)

    def apply(self, active: InForce) -> None:
        """Put a fault in force.

        Raises:
            TypeError: it is a custom fault whose stage is none. Nothing has been touched.
            UnsupportedFault: this machine cannot do it.
        """
        fault = active.fault
        check_supported(fault, self._upstream, self._listener.address)
        self.applied += 1
        active.cause = Cause(fault=fault, fault_id=self.applied, source=active.source)
        # Two faults of a kind in force together never draw the same numbers: twice the same damage would be none.
        ordinals = self._ordinals.setdefault(type(fault), Ordinals())
        active.ordinal = ordinals.take()
        active.root = f"{self._seed}/{type(fault).__name__}/{active.ordinal}"
        active.seed = self._seed
        try:
            self._enforce(active)
        except BaseException:
            if active in self.active:
                self._take_off(active, "resume")
                self._kernel.set_mode()
            else:
                ordinals.give_back(active.ordinal)
            raise
        if active.healed:  # there was nothing to heal
            ordinals.give_back(active.ordinal)
        else:
            self._heal_in_time(active)

    def _heal_in_time(self, active: InForce) -> None:
        """Arrange that a fault with a time heals itself."""
        seconds = active.limits.seconds
        if seconds is not None:
            engine = self._connections.engine
            why = f"after {seconds:g} s"
            active.timer = engine.call_at(engine.now() + seconds, lambda: self._heal_alone(active, why))

    def _enforce(self, active: InForce) -> None:
        fault = active.fault
        if active.limits.some and fault.traits.listener != "serve":
            self._listener.accept_all()  # who has connected by now is open
        alive = [
            connection for connection in self._connections.alive() if active.holds_for(connection.number)
        ]
        moved = [connection for connection in alive if _at_once(fault, connection)]
        for connection in moved:
            connection.catch_up()  # an older fault stands before a newer one
        # All that may fail comes first: what somebody else's code says must not hold for half of the connections.
        plans = [(connection, self._plan(active, connection)) for connection in moved]
        self._log.write("fault", None, active.cause)
        if fault.traits.connections == "reset":
            self._reset_all(active)
            return
        if fault.traits.connections == "forget":
            self._forget_flows(active)
            return
        self.evidence.begin(active)
        if len(moved) < len(alive):
            self.standing.number += 1
        self._count(active, 1)
        self._kernel.set_mode()
        for connection, plan in plans:
            connection.caught_up = self.standing.number
            self._put_on(active, connection, plan)
        self._kernel.set_losses()

    def _reset_all(self, active: InForce) -> None:
        """End every connection that is open now. There is nothing to heal."""
        self._listener.accept_all()
        open_now = [
            one for one in self._connections if one.state != "forgotten" and active.holds_for(one.number)
        ]
        active.met = bool(open_now)
        active.healed = True
        for connection in open_now:
            connection.close_with_reset(active.cause)

    def _forget_flows(self, active: InForce) -> None:
        """Make every flow that is open now mute for good. There is nothing to heal."""
        packets = active.fault.needs_filters()
        self._listener.accept_all()
        flows = [one for one in self._connections.alive() if active.holds_for(one.number)]
        active.met = bool(flows)
        active.healed = True
        if packets:
            try:
                for connection in flows:
                    connection.set_loss(up=1.0, down=1.0)
            except BaseException:
                self._kernel.set_losses(anew=True)
                self._log.write("heal", None, active.cause, met=active.met)
                raise
        for connection in flows:
            self._log.write("hit", connection, active.cause, direction="both")
            connection.forget_flow(
                packets=packets,
                on_client_ended=functools.partial(self._connections.leave_behind, connection),
            )

    def _count(self, active: InForce, by: Literal[1, -1]) -> None:
        """Note that a fault is in force, or is no more."""
        if by > 0:
            self._kernel.add(active)
            self.active[active] = None
        else:
            self._kernel.remove(active)
            del self.active[active]
            self._ordinals[type(active.fault)].give_back(active.ordinal)

    def _catch_up(self, connection: Connection) -> None:
        """Something moves on a connection: give it the faults that have waited for that."""
        missing = []
        for active in reversed(self.active):
            if connection.number in active.stages:
                break  # whatever got this one had got all before it
            if has_stages(active.fault) and active.holds_for(connection.number):
                missing.append(active)
        for active in reversed(missing):
            self._put_on(active, connection, self._plan(active, connection))

    def _plan(self, active: InForce, connection: Connection) -> list[tuple[Pipe, Stage]]:
        """The stages that a fault is going to put on a connection."""
        fault, plan = active.fault, []
        if not has_stages(fault) or not active.holds_for(connection.number):
            return []
        for pipe in connection.pipes:
            stage = stage_of(
                fault, Place(connection.number, pipe.direction, pipe.count, active.root, connection.wire)
            )
            if isinstance(fault, CustomFault):
                give_up = functools.partial(self._give_up, active, connection)
                stage = guarded(fault, stage, give_up)
            if stage is not None:
                plan.append((pipe, stage))
        return plan

    def _give_up(self, active: InForce, connection: Connection, error: BaseException) -> None:
        """The code of a custom fault has failed on a connection: that one ends, the proxy lives on."""
        sentence = f"{active.fault!r} failed: {type(error).__name__}: {error}"
        self._log.write("trouble", connection, active.cause, sentence)
        connection.give_up(active.cause)

    def _put_on(self, active: InForce, connection: Connection, plan: list[tuple[Pipe, Stage]]) -> None:
        """Let a fault act on one open connection."""
        if (
            not connection.alive
            or connection.number in active.stages
            or not active.holds_for(connection.number)
        ):
            return
        if active.fault.traits.connections == "sever":
            active.met = True
            connection.sever(active.cause)
            return
        placed = active.stages[connection.number] = []
        now = self._connections.engine.now()
        for pipe, stage in plan:
            placed.append((pipe, stage))
            if isinstance(stage, CutStage):  # which says itself where it hit
                stage.cause = active.cause
            else:
                pipe.fresh.append((stage, active.cause))
            idle = pipe.flow.empty
            pipe.flow.add(now, stage)
            if isinstance(stage, CutStage) and stage.reached and connection.state == "connecting":
                connection.cut(pipe, stage)
                if stage.how != "blackhole":
                    return
            self._arrange_end(active, connection, pipe, stage)
            if not idle or stage.full(now):  # otherwise nothing is wanted that was not wanted before
                pipe.pump()

    def _arrange_end(self, active: InForce, connection: Connection, pipe: Pipe, stage: Stage) -> None:
        """A stage that ends its connection by the clock does so whatever waits there, also for a stalled reader."""
        if stage.ends_at is None:
            return

        def end() -> None:
            if stage in pipe.flow.stages and connection.alive:
                active.met = True
                if stage.ends_with == "rst":
                    connection.close_with_reset(active.cause)
                else:
                    connection.sever(active.cause)

        connection.call_at(stage.ends_at, end)

    def replace(self, active: InForce, fault: Fault) -> None:
        """Give a fault in force other arguments. It keeps its place among the others; what it held goes on at once.

        Raises:
            TypeError: it is a fault of another class.
            UnsupportedFault: this machine cannot do it.
        """
        if type(fault) is not type(active.fault):
            raise TypeError(
                f"{active.fault!r} can only be replaced by a fault of its class, not by {fault!r}"
            )
        if active.healed:
            return
        check_supported(fault, self._upstream, self._listener.address)
        alive = self._connections.alive()
        for connection in alive:
            connection.catch_up()
        self._kernel.remove(active)
        active.fault = fault
        self._kernel.add(active)
        active.cause = replace(active.cause, fault=fault)
        _stop_timer(active)
        self._heal_in_time(active)
        self._log.write("fault", None, active.cause)
        newer = list(self.active)
        newer = newer[newer.index(active) + 1 :]
        for connection in alive:
            if connection.alive and fault.traits.connections == "sever":
                self._put_on(active, connection, [])  # it may hold for more of them now
            elif connection.alive:
                self._put_in_place(active, connection, newer)
        self._kernel.set_mode()
        self._kernel.set_losses()
        self._admission.admit_waiting()

    def _put_in_place(self, active: InForce, connection: Connection, newer: list[InForce]) -> None:
        """Put the stages of a fault whose arguments have changed where those of before were."""
        now = self._connections.engine.now()
        was = dict(active.stages.get(connection.number, ()))
        made = dict(self._plan(active, connection))
        behind = [placed for other in newer for placed in other.stages.get(connection.number, ())]
        active.stages[connection.number] = list(made.items())
        for pipe in connection.pipes:
            old, new = was.get(pipe), made.get(pipe)
            if old is None and new is None:
                continue
            if old is not None:
                active.met = active.met or old.met
                pipe.forget(old)
            if old is not None and new is None and active.fault.on_heal == "sever":
                connection.sever(active.cause)
                return
            if new is not None:
                if old is not None:
                    new.take_over(old)
                pipe.fresh.append((new, active.cause))
            pipe.flow.put_in_place(now, old, new, [stage for at, stage in behind if at is pipe])
            if new is not None:
                self._arrange_end(active, connection, pipe, new)
            pipe.pump()

    def welcome(self, connection: Connection) -> None:
        """Let every fault act on a new connection, and let it reach for the upstream if none keeps it from that."""
        if not self.active and not self._listener.was_lossy:
            self._connections.start(connection)
            return
        if self._admission.refuses(connection):
            return
        for active in list(self.active):
            if active.limits.some and active.fault.traits.listener == "refuse":
                continue  # it hangs; what refuses it does so when that is over
            try:
                plan = self._plan(active, connection)
            except BaseException as error:  # noqa: BLE001, RUF100 - of somebody else's code
                if not isinstance(active.fault, CustomFault):
                    raise
                self._give_up(active, connection, error)
                break
            self._put_on(active, connection, plan)
        if self._listener.was_lossy:
            connection.client.loss = math.nan  # the socket has inherited a filter, which one is not known
        self._admission.admit(connection)
        self._kernel.set_loss(connection)

    def connection_closed(self, connection: Connection) -> None:
        """A connection has ended: keep what is known of the traffic that the faults met there."""
        self._admission.forget(connection)
        for active in self.active:
            self.evidence.ended(active, connection)
            gone = active.stages.pop(connection.number, ())
            active.met = active.met or any(stage.met for _, stage in gone)

    def close(self) -> None:
        """The link ends: every fault is over, and what it met is kept."""
        for active in self.active:
            self.evidence.end(active)
            _stop_timer(active)
        self.active.clear()
        self._kernel.clear()

    def heal(self, active: InForce) -> None:
        """Take a fault away. Healing twice does nothing."""
        if active.healed:
            return
        self._take_off(active, active.fault.on_heal)
        self._kernel.set_mode()
        self._admission.admit_waiting()

    def _heal_alone(self, active: InForce, why: str) -> None:
        """A limit of the fault is reached: it is over without anybody's help."""
        if active.healed:
            return
        self._take_off(active, active.fault.on_heal, why)
        if not active.limits.some:  # otherwise nothing changes for the port, which may be about to change
            self._kernel.set_mode()
        self._admission.admit_waiting()

    def _heal_used_up(self, active: InForce) -> None:
        self._heal_alone(active, f"after {counted(active.refused, 'attempt')}")

    def heal_all(self) -> None:
        """Take every fault away, the newest first. Does nothing when there is none, as after close."""
        if not self.active:
            return
        for active in reversed(list(self.active)):
            self._take_off(active, active.fault.on_heal)
        self._kernel.set_mode()
        self._admission.admit_waiting()

    def _take_off(self, active: InForce, ends: OnHeal, why: str = "") -> None:
        _stop_timer(active)
        self.evidence.end(active)
        self._count(active, -1)
        stages, active.stages = active.stages, {}
        placed = [one for of_connection in stages.values() for one in of_connection]
        for pipe, stage in placed:
            pipe.forget(stage)
        self._log.write("heal", None, active.cause, why, met=active.met)
        for pipe, stage in placed:
            connection = pipe.connection
            if not connection.alive:
                continue
            if ends == "sever":
                connection.sever(active.cause)
            elif ends == "reset":
                connection.close_with_reset(active.cause)
            else:
                now = self._connections.engine.now()
                idle = pipe.flow.empty and not stage.full(now)
                pipe.flow.remove(now, stage)
                if isinstance(stage, CutStage):
                    connection.thaw(stage)
                if not idle:
                    pipe.pump()
        self._kernel.set_losses()


def _stop_timer(active: InForce) -> None:
    if active.timer is not None:
        active.timer.cancel()
        active.timer = None


def _at_once(fault: Fault, connection: Connection) -> bool:
    """Whether a fault must act on a connection now, and not only once something moves there."""
    if not has_stages(fault):
        return fault.traits.connections == "sever"
    if fault.counts_frames_of() is not None:
        return True  # whether they can be counted here must be known now
    place = fault.takes_effect_at()
    if place is not None and any(pipe.count >= place[0] for pipe in connection.pipes):
        return True  # it was passed already
    return not (may_wait(fault) and connection.resting)
