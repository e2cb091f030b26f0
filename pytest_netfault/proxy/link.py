"""A link on the proxy's side: a listener, its connections, and the faults in force.

Rules of this file:

* All methods but the constructor run on the engine's thread, each as one step: when ``apply`` returns, the fault
  holds for every open connection and for every one to come; when ``heal`` returns, it is gone.
* What the listener does follows from the set of faults in force: silence (``Blackhole``, ``StallAccept``) goes
  before refusal (``Sever``, ``Refuse``), because on a silent network a refusal would not arrive either.
* What happened is written to a log of bounded length, see :mod:`pytest_netfault.events`.
"""

from __future__ import annotations

import functools
import math
import select
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from pytest_netfault.events import Cause, ConnectionState, EventKind, LinkEvent
from pytest_netfault.faults import (
    Blackhole,
    Cut,
    Fault,
    Forget,
    Lose,
    OnHeal,
    Refuse,
    Reset,
    Sever,
    StallAccept,
    UnsupportedFault,
    directions_of,
)
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.addresses import Address, UnixAddress
from pytest_netfault.proxy.budget import MAX_HELD, Budget
from pytest_netfault.proxy.calls import Moment
from pytest_netfault.proxy.connection import Connection, Meter, Standing
from pytest_netfault.proxy.engine import Engine, Timer
from pytest_netfault.proxy.guard import GuardedStage, checked_stage, is_ours
from pytest_netfault.proxy.listener import Listener
from pytest_netfault.proxy.pipe import Pipe
from pytest_netfault.proxy.stacking import CustomFault, Ordinals, Place, has_stages, may_wait, stage_of
from pytest_netfault.proxy.stages import CutStage, Stage
from pytest_netfault.proxy.upstream import Upstream

# How soon those that wait for room look again once there may be some. A thousand of them look in about 2 ms.
_ROOM_SECONDS = 0.002

__all__ = ["EVENTS_KEPT", "FORGOTTEN_KEPT", "ConnectionInfo", "InForce", "ProxyLink"]

# The last events of a link that are kept. An event takes about 300 bytes, so this is 3 MB at most.
EVENTS_KEPT = 10_000
# Forgotten flows whose client has ended its side that are kept open, as their upstream would see them on a real
# network: for ever. Each costs one or two descriptors, and many a system allows a process no more than 1,024.
FORGOTTEN_KEPT = 256
_OURS = Cause()


@dataclass(frozen=True)
class ConnectionInfo:
    """A connection of a link as it was when you asked.

    Attributes:
        number: its number on the link, from 1, in the order of acceptance.
        client: the client's address.
        upstream: the address that it was forwarded to.
        bytes_up: bytes delivered from client to upstream so far.
        bytes_down: bytes delivered from upstream to client so far.
        state: ``"connecting"``, ``"open"``, ``"half-closed"``, ``"forgotten"``, ``"closing"`` or ``"closed"``.
    """

    number: int
    client: str
    upstream: str
    bytes_up: int
    bytes_down: int
    state: ConnectionState


@dataclass(eq=False)
class InForce:
    """A fault on a link, from ``apply`` to ``heal``."""

    fault: Fault
    words: str = ""  # its expression, for events
    # Of every random choice: the seed, and how many faults of its kind were in force before it.
    root: str = ""
    ordinal: int = 0  # that number
    cause: Cause = field(default_factory=Cause)  # what its events say of it
    stages: dict[int, list[tuple[Pipe, Stage]]] = field(default_factory=dict)  # by the connection's number
    healed: bool = False
    met: bool = False
    drops_before: int = 0  # segments that filters had dropped at the listener
    bytes_before: int = 0  # that had passed in the fault's directions
    refused_before: int | None = None  # see kernel.refused_attempts
    unseen: bool = False  # once it is healed: whether it may have refused somebody whom nobody saw


@dataclass(eq=False)
class _Waiter:
    reached: Callable[[], bool]
    moment: Moment


class ProxyLink:
    """Forwards one address to another and does to the traffic what the faults in force say.

    Args:
        engine: whose thread it runs on.
        upstream: where connections go.
        listen: where they come from.
        name: for events and messages.
        seed: what every random choice is made from.
        max_held: how many bytes it may hold back, all connections together.

    Raises:
        OSError: ``listen`` cannot be listened on, or the upstream's name cannot be resolved.
    """

    def __init__(
        self,
        engine: Engine,
        upstream: Address,
        listen: Address,
        *,
        name: str,
        seed: int,
        max_held: int = MAX_HELD,
    ) -> None:
        self.engine = engine
        self.name = name
        self.seed = seed
        self.upstream = upstream
        self.events: deque[LinkEvent] = deque(maxlen=EVENTS_KEPT)
        self.accepted = 0
        self.applied = 0
        self._last_used = -math.inf  # when a connection last came or went
        self.closed = False
        self._connections: dict[int, Connection] = {}
        self._left_behind: dict[
            int, Connection
        ] = {}  # forgotten, and ended by their clients; the oldest first
        self._faults: dict[InForce, None] = {}  # in the order in which they came into force
        self._kinds: Counter[str] = Counter()  # of them, those that tell the listener what to do
        self._lossy: dict[InForce, None] = {}  # of them, those that let the kernel drop segments
        self._ordinals: dict[type[Fault], Ordinals] = {}
        self._losses = (0.0, 0.0)  # as the connections have them
        self._waiters: list[_Waiter] = []
        self._past = {"up": 0, "down": 0}
        self._meter = Meter(self._look)
        self._standing = Standing(self._catch_up)
        self._budget = Budget(max_held, self._serve_waiting_soon)
        self._serving: Timer | None = None
        self._upstream = Upstream(upstream)
        self.listener = Listener(engine, listen, self._on_accept, self._on_trouble)

    # -- seeing -------------------------------------------------------------------------------------------

    def log(
        self,
        kind: EventKind,
        connection: Connection | None,
        cause: Cause = _OURS,
        detail: str = "",
        direction: Literal["up", "down"] | None = None,
    ) -> None:
        """Write an event."""
        self.events.append(
            LinkEvent(
                time=self.engine.now(),
                link=self.name,
                kind=kind,
                connection=connection.number if connection else None,
                by=cause.by,
                bytes_up=connection.up.count if connection else 0,
                bytes_down=connection.down.count if connection else 0,
                detail=detail,
                fault=cause.fault,
                fault_id=cause.fault_id,
                direction=direction,
            )
        )

    def connections(self) -> list[ConnectionInfo]:
        """The live connections, oldest first."""
        return [_info(connection) for connection in self._connections.values()]

    def bytes_passed(self, direction: Literal["up", "down"]) -> int:
        """Bytes delivered in this direction by all connections so far."""
        which = 0 if direction == "up" else 1
        live = sum(connection.pipes[which].count for connection in self._connections.values())
        return self._past[direction] + live

    def used_since(self, time: float) -> bool:
        """Whether a connection of a client was there at this time or later."""
        return bool(self._connections) or self._last_used >= time

    def wait_until(self, reached: Callable[[], bool]) -> Moment:
        """The moment when ``reached()`` is true; looked at whenever something passes."""
        waiter = _Waiter(reached, Moment())
        self._waiters.append(waiter)
        self._look()
        return waiter.moment

    def stop_waiting(self, moment: Moment) -> None:
        """Forget a wait that was given up."""
        self._waiters = [waiter for waiter in self._waiters if waiter.moment is not moment]
        self._meter.watched = bool(self._waiters)

    def _look(self) -> None:
        for waiter in list(self._waiters):
            if waiter.reached():
                self._waiters.remove(waiter)
                waiter.moment.announce()
        self._meter.watched = bool(self._waiters)

    # -- connections --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to accept."""
        self.listener.start()

    def _on_trouble(self, sentence: str) -> None:
        self.log("trouble", None, detail=sentence)

    def _on_accept(self, sock: socket.socket, name: str) -> None:
        self.accepted += 1
        self._last_used = self.engine.now()
        connection = Connection(
            self.engine,
            self.accepted,
            sock,
            (name, str(self.upstream)),
            self._upstream.connector(),
            log=self.log,
            on_closed=self._on_closed,
            meter=self._meter,
            budget=self._budget,
            standing=self._standing,
        )
        self._connections[connection.number] = connection
        self.log("accepted", connection, Cause("client"), name)
        self._put_all_on(connection)
        if self.listener.was_lossy:
            connection.client.loss = math.nan  # the socket has inherited a filter, which one is not known
        connection.start()
        connection.set_loss(up=self._loss("up"), down=self._loss("down"))
        if self._waiters:
            self._look()

    def _on_closed(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)
        self._left_behind.pop(connection.number, None)
        self._last_used = self.engine.now()
        for pipe in connection.pipes:
            self._past[pipe.direction] += pipe.count
        for active in self._faults:
            gone = active.stages.pop(connection.number, ())
            active.met = active.met or any(stage.met for _, stage in gone)
        if self._waiters:
            self._look()

    def _serve_waiting_soon(self) -> None:
        """Something was passed on, and somebody waits for room: soon, so that it is done for several at once."""
        if self._serving is None:
            self._serving = self.engine.call_at(self.engine.now() + _ROOM_SECONDS, self._serve_waiting)

    def _serve_waiting(self) -> None:
        self._serving = None
        self._budget.serve()

    # -- faults -------------------------------------------------------------------------------------------

    def apply(self, active: InForce) -> None:
        """Put a fault in force.

        Raises:
            TypeError: it is a custom fault whose stage is none. Nothing has been touched.
            UnsupportedFault: this machine cannot do it.
        """
        fault = active.fault
        self._check_supported(fault)
        active.words = repr(fault)
        self.applied += 1
        active.cause = Cause(fault=active.words, fault_id=self.applied)
        # Two faults of a kind in force together never draw the same numbers: twice the same damage would be none.
        ordinals = self._ordinals.setdefault(type(fault), Ordinals())
        active.ordinal = ordinals.take()
        active.root = f"{self.seed}/{type(fault).__name__}/{active.ordinal}"
        try:
            self._enforce(active)
        except BaseException:
            if active in self._faults:
                self._take_off(active, "resume")
                self._set_mode()
            else:
                ordinals.give_back(active.ordinal)
            raise
        if active.healed:  # there was nothing to heal
            ordinals.give_back(active.ordinal)

    def _enforce(self, active: InForce) -> None:
        fault = active.fault
        alive = [connection for connection in self._connections.values() if connection.alive]
        moved = [connection for connection in alive if self._at_once(fault, connection)]
        for connection in moved:
            connection.catch_up()  # an older fault stands before a newer one
        # All that may fail comes first: what somebody else's code says must not hold for half of the connections.
        plans = [(connection, self._plan(active, connection)) for connection in moved]
        self.log("fault", None, active.cause, active.words)
        if isinstance(fault, Reset):
            self.listener.accept_all()
            open_now = [one for one in self._connections.values() if one.state != "forgotten"]
            active.met = bool(open_now)
            active.healed = True
            for connection in open_now:
                connection.close_with_reset(active.cause)
            return
        if isinstance(fault, Forget):
            self._forget_flows(active, fault)
            return
        active.drops_before = self.listener.drops
        if isinstance(fault, Lose):
            active.bytes_before = self._bytes_in(directions_of(fault))
        if isinstance(fault, (Sever, Refuse)) and not self._connections:
            active.refused_before = self._refused()
        if len(moved) < len(alive):
            self._standing.number += 1
        self._count(active, 1)
        self._set_mode()
        for connection, plan in plans:
            connection.caught_up = self._standing.number
            self._put_on(active, connection, plan)
        self._set_losses()

    def _forget_flows(self, active: InForce, fault: Forget) -> None:
        """Make every flow that is open now mute for good. There is nothing to heal."""
        self.listener.accept_all()
        flows = [connection for connection in self._connections.values() if connection.alive]
        active.met = bool(flows)
        active.healed = True
        if fault.packets:
            try:
                for connection in flows:
                    connection.set_loss(up=1.0, down=1.0)
            except BaseException:
                self._set_losses(anew=True)
                self.log("heal", None, active.cause, active.words)
                raise
        for connection in flows:
            self.log("hit", connection, active.cause, f"{active.words} both")
            connection.forget_flow(
                packets=fault.packets, on_client_ended=functools.partial(self._leave_behind, connection)
            )

    def _leave_behind(self, connection: Connection) -> None:
        """The client of a forgotten flow has ended; its upstream still has the flow, unless there are too many."""
        self._left_behind[connection.number] = connection
        while len(self._left_behind) > FORGOTTEN_KEPT:
            self._left_behind.pop(next(iter(self._left_behind))).close()

    def _count(self, active: InForce, by: Literal[1, -1]) -> None:
        """Note that a fault is in force, or is no more."""
        fault = active.fault
        if isinstance(fault, (Blackhole, StallAccept)):
            self._kinds["hang"] += by
        elif isinstance(fault, (Sever, Refuse)):
            self._kinds["refuse"] += by
        lossy = isinstance(fault, Lose) or (isinstance(fault, Blackhole) and fault.packets)
        if by > 0:
            self._faults[active] = None
            if lossy:
                self._lossy[active] = None
        else:
            del self._faults[active]
            self._lossy.pop(active, None)
            self._ordinals[type(fault)].give_back(active.ordinal)

    def _at_once(self, fault: Fault, connection: Connection) -> bool:
        """Whether a fault must act on a connection now, and not only once something moves there."""
        if not has_stages(fault):
            return isinstance(fault, Sever)
        if isinstance(fault, Cut) and any(
            pipe.count >= fault.after_bytes for pipe in connection.pipes
        ):  # the place to cut was passed already
            return True
        return not (may_wait(fault) and connection.resting)

    def _catch_up(self, connection: Connection) -> None:
        """Something moves on a connection: give it the faults that have waited for that."""
        missing = []
        for active in reversed(self._faults):
            if connection.number in active.stages:
                break  # whatever got this one had got all before it
            if has_stages(active.fault):
                missing.append(active)
        for active in reversed(missing):
            self._put_on(active, connection, self._plan(active, connection))

    def _plan(self, active: InForce, connection: Connection) -> list[tuple[Pipe, Stage]]:
        """The stages that a fault is going to put on a connection."""
        fault, plan = active.fault, []
        if not has_stages(fault):
            return []
        for pipe in connection.pipes:
            stage = stage_of(fault, Place(connection.number, pipe.direction, pipe.count, active.root))
            if isinstance(fault, CustomFault):
                stage = self._guarded(active, connection, stage)
            if stage is not None:
                plan.append((pipe, stage))
        return plan

    def _guarded(self, active: InForce, connection: Connection, stage: object) -> Stage | None:
        checked = checked_stage(active.fault, stage)
        if checked is None or is_ours(checked):
            return checked
        return GuardedStage(checked, lambda error: self._give_up(active, connection, error))

    def _give_up(self, active: InForce, connection: Connection, error: BaseException) -> None:
        """The code of a custom fault has failed on a connection: that one ends, the proxy lives on."""
        self.log(
            "trouble", connection, active.cause, f"{active.words} failed: {type(error).__name__}: {error}"
        )
        connection.give_up(active.cause)

    def _put_on(self, active: InForce, connection: Connection, plan: list[tuple[Pipe, Stage]]) -> None:
        """Let a fault act on one open connection."""
        if not connection.alive or connection.number in active.stages:
            return
        if isinstance(active.fault, Sever):
            active.met = True
            connection.sever(active.cause)
            return
        placed = active.stages[connection.number] = []
        now = self.engine.now()
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
            if not idle or stage.full(now):  # otherwise nothing is wanted that was not wanted before
                pipe.pump()

    def _put_all_on(self, connection: Connection) -> None:
        """Let every fault act on a new connection."""
        for active in list(self._faults):
            try:
                plan = self._plan(active, connection)
            except BaseException as error:  # noqa: BLE001, RUF100 - of somebody else's code
                if not isinstance(active.fault, CustomFault):
                    raise
                self._give_up(active, connection, error)
                return
            self._put_on(active, connection, plan)

    def heal(self, active: InForce) -> None:
        """Take a fault away. Healing twice does nothing."""
        if active.healed:
            return
        self._take_off(active, active.fault.on_heal if isinstance(active.fault, Blackhole) else "resume")
        self._set_mode()

    def heal_all(self) -> None:
        """Take every fault away, the newest first. Does nothing after close."""
        if self.closed:
            return
        for active in reversed(list(self._faults)):
            self._take_off(active, active.fault.on_heal if isinstance(active.fault, Blackhole) else "resume")
        self._set_mode()

    def _take_off(self, active: InForce, ends: OnHeal) -> None:
        active.met = self.met(active)
        active.unseen = self.may_have_refused(active)
        active.healed = True
        self._count(active, -1)
        stages, active.stages = active.stages, {}
        placed = [one for of_connection in stages.values() for one in of_connection]
        for pipe, stage in placed:
            pipe.forget(stage)
        self.log("heal", None, active.cause, active.words)
        for pipe, stage in placed:
            connection = pipe.connection
            if not connection.alive:
                continue
            if ends == "sever":
                connection.sever(active.cause)
            elif ends == "reset":
                connection.close_with_reset(active.cause)
            else:
                now = self.engine.now()
                idle = pipe.flow.empty and not stage.full(now)
                pipe.flow.remove(now, stage)
                if isinstance(stage, CutStage):
                    connection.thaw(stage)
                if not idle:
                    pipe.pump()
        self._set_losses()

    def met(self, active: InForce) -> bool:
        """Whether the fault has met traffic: a byte, an ending, an open connection or an attempt to connect."""
        if active.met or active.healed:
            return active.met
        fault = active.fault
        if isinstance(fault, (Blackhole, StallAccept, Lose)) and self.listener.drops > active.drops_before:
            return True
        if isinstance(fault, Lose):
            ways = directions_of(fault)
            return self._bytes_in(ways) > active.bytes_before or self._dropped(ways)
        if isinstance(fault, Blackhole) and fault.packets and self._dropped(directions_of(fault)):
            return True
        if any(stage.met for of_connection in active.stages.values() for _, stage in of_connection):
            return True
        return isinstance(fault, Blackhole) and self._silences(fault)

    def _silences(self, fault: Blackhole) -> bool:
        """Whether something waits in the kernel that the silence keeps from being read."""
        waiting = select.poll()
        for connection in self._connections.values():
            if connection.alive:
                for pipe in connection.pipes:
                    if pipe.direction in directions_of(fault) and pipe.ended is None:
                        if pipe.source.parked:
                            return True
                        if pipe.source.fd >= 0:
                            waiting.register(pipe.source.fd, select.POLLIN)
        return any(events & select.POLLIN for _, events in waiting.poll(0))

    def may_have_refused(self, active: InForce) -> bool:
        """Whether the fault may have refused a client that nobody saw: the kernel refuses without telling us."""
        if active.healed or not isinstance(active.fault, (Sever, Refuse)):
            return active.unseen
        if active.refused_before is None or self.listener.drops > active.drops_before:
            return True  # nobody counts; or a silence that held as well swallowed an attempt before it was refused
        return self._refused() != active.refused_before

    def _refused(self) -> int | None:
        if self.listener.address.startswith("unix:"):
            return None
        return kernel.refused_attempts(loopback=self.listener.address.startswith(("127.", "[::1]")))

    def _bytes_in(self, directions: Iterable[Literal["up", "down"]]) -> int:
        return sum(self.bytes_passed(direction) for direction in directions)

    def _dropped(self, directions: Iterable[Literal["up", "down"]]) -> bool:
        """Whether the kernel has dropped a segment of an open connection in one of these directions."""
        return any(
            connection.drops(direction)
            for connection in self._connections.values()
            for direction in directions
        )

    def _check_supported(self, fault: Fault) -> None:
        if not (isinstance(fault, Lose) or (isinstance(fault, (Blackhole, Forget)) and fault.packets)):
            return
        if not kernel.has_filters():
            raise UnsupportedFault(
                f"{fault!r} needs socket filters (SO_ATTACH_FILTER), which this system does not have; "
                "run it on Linux, or in a Linux container"
            )
        if isinstance(self.upstream, UnixAddress) or self.listener.address.startswith("unix:"):
            raise UnsupportedFault(
                f"{fault!r} drops TCP segments, and a Unix socket has none; forward to a TCP address"
            )

    def _set_mode(self) -> None:
        if self._kinds["hang"]:
            self.listener.set_mode("hang")
        elif self._kinds["refuse"]:
            self.listener.set_mode("refuse")
        else:
            self.listener.set_mode("serve", loss=self._loss("up"))

    def _loss(self, direction: Literal["up", "down"]) -> float:
        """The share of segments that the kernel should drop on their way in this direction."""
        kept = 1.0
        for active in self._lossy:
            fault = active.fault
            if direction in directions_of(fault):
                kept *= 1 - fault.probability if isinstance(fault, Lose) else 0.0
        return 1.0 - kept

    def _set_losses(self, *, anew: bool = False) -> None:
        losses = (self._loss("up"), self._loss("down"))
        if anew or losses != self._losses:
            self._losses = losses
            for connection in self._connections.values():
                connection.set_loss(up=losses[0], down=losses[1])

    # -- the end ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything: faults, connections, the port."""
        if self.closed:
            return
        self.closed = True
        for active in self._faults:
            active.met = self.met(active)
            active.unseen = self.may_have_refused(active)
            active.healed = True
        self._faults.clear()
        self._lossy.clear()
        self.listener.close()
        for connection in list(self._connections.values()):
            connection.close()
        if self._serving is not None:
            self._serving.cancel()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.moment.announce(cancelled=True)

    def forget(self) -> None:
        """In a forked child: close the copies of what the parent uses."""
        self.closed = True
        self.listener.forget()
        for connection in self._connections.values():
            connection.forget()


def _info(connection: Connection) -> ConnectionInfo:
    return ConnectionInfo(
        number=connection.number,
        client=connection.client_name,
        upstream=connection.upstream_name,
        bytes_up=connection.up.count,
        bytes_down=connection.down.count,
        state=connection.state,
    )
