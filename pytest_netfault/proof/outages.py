"""The link during one run: its faults, and the moments on it that a schedule waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Delay
from pytest_netfault.proof.contract import Breakable, InForce
from pytest_netfault.proof.recording import FaultRecord
from pytest_netfault.proxy.wire import ConnectionFrames
from pytest_netfault.schedules.dead_flows import leaves_dead_flow
from pytest_netfault.schedules.steps import Break, WaitForBytes, WaitForConnection

__all__ = ["ACTIVITY", "Outages"]

# Longer than any restart takes: what waits for one is let go by healing, not by the clock.
_HELD_SECONDS = 3600.0
# A flow on which nothing has happened for so long is idle; gRPC sends its ping within this time.
_IDLE_SECONDS = 1.0


class Activity:
    """When a client of any run of this process last subscribed or wrote."""

    def __init__(self) -> None:
        self.last = float("-inf")

    def note(self) -> None:
        """It does now."""
        self.last = time.monotonic()


ACTIVITY = Activity()


class Outages:
    """Faults on the link of a run, in the order of its steps.

    Args:
        link: which is broken.
        is_over: whether waiting is no longer worth it.

    Attributes:
        dead_flow: whether a fault was applied that leaves a dead flow.
    """

    def __init__(self, link: Breakable, is_over: Callable[[], bool]) -> None:
        self._link = link
        self._is_over = is_over
        self._applied: list[tuple[int, InForce, float]] = []  # with the moment since which it holds
        self._healable: list[InForce] = []
        self._waiting: list[InForce] = []  # for the recovery, and at the end for their places
        self._met: dict[
            int, float
        ] = {}  # by their numbers those that have met traffic, and when that was seen
        self._changed = (0, 0, 0)  # connections, bytes up and bytes down when the link last changed
        self.dead_flow = False

    def apply(self, place: int, step: Break) -> None:
        """Bring the fault of a step into force.

        Raises:
            UnsupportedFault: this machine cannot do it.
        """
        fault = step.fault.numbered_after(self._connections()) if step.in_recovery else step.fault
        in_force = self._link.apply(fault)
        self._applied.append((place, in_force, time.monotonic()))
        self.dead_flow = self.dead_flow or leaves_dead_flow(step)
        if not step.lasting:
            (self._waiting if step.in_recovery else self._healable).append(in_force)
        self.mark_change()

    def heal(self) -> None:
        """End every fault that does not last and does not wait for the recovery, the latest first."""
        for fault in reversed(self._healable):
            fault.heal()
        self._healable.clear()

    def heal_for_the_end(self) -> None:
        """End those that keep a client from coming back; what waits for a place on one connection waits on.

        The last bytes of a connection carry the write that ends the run: they can be cut as well as all others.
        """
        waiting = [one for one in self._healable if _waits_for_a_place(one)] + self._waiting
        self._waiting = [one for one in waiting if not one.fault.stops_traffic(met=False)]
        self._healable = [one for one in self._healable if one not in self._waiting]
        self._healable += [one for one in waiting if one not in self._waiting]
        self.heal()

    @property
    def waits(self) -> bool:
        """Whether a fault waits for the recovery."""
        return bool(self._waiting)

    def note_recovery(self, patience: float) -> bool:
        """Whether a fault that waited for the recovery has happened just now, or its silence was ended.

        Args:
            patience: how long a silence lasts, in seconds.
        """
        changed, now = self.note_met(), time.monotonic()
        for one in list(self._waiting):
            if _stops(one) and now - self._met.get(one.fault_id, now) >= patience:
                self._waiting.remove(one)
                one.heal()
                changed = True
        return changed

    def note_met(self) -> bool:
        """Note when those that wait for the recovery have met traffic; return whether one has since the last call."""
        met = [one.fault_id for one in self._waiting if one.fault_id not in self._met and one.met_traffic]
        self._met.update(dict.fromkeys(met, time.monotonic()))
        return bool(met)

    def heal_all(self) -> None:
        """End every fault that does not last: the run is over."""
        self._healable += self._waiting
        self._waiting.clear()
        self.heal()

    @contextmanager
    def hold_back(self) -> Iterator[None]:
        """While entered, nothing passes up the link; unlike in a black hole, clients connect."""
        held = self._link.apply(Delay(_HELD_SECONDS, direction="up"))
        try:
            yield
        finally:
            held.heal()

    @property
    def any(self) -> bool:
        """Whether any fault was applied so far."""
        return bool(self._applied)

    @property
    def hinder(self) -> bool:
        """Whether a fault keeps the client from its server, or may."""
        return self.dead_flow or any(map(_stops, (*self._healable, *self._waiting)))

    def met_traffic_since(self) -> list[float]:
        """For each fault that met traffic, since when it held."""
        return [since for _, one, since in self._applied if one.met_traffic]

    def records(self) -> tuple[FaultRecord, ...]:
        """Every fault that came into force, in order."""
        return tuple(
            FaultRecord(place, one.fault, one.met_traffic, one.fault_id) for place, one, _ in self._applied
        )

    def events(self) -> tuple[LinkEvent, ...]:
        """What happened on the link."""
        return tuple(self._link.events)

    def traffic(self) -> dict[int, tuple[int, int]]:
        """For each connection so far, the bytes that it carried up and down."""
        ended = {
            event.connection: (event.bytes_up, event.bytes_down)
            for event in self._link.events
            if event.kind == "closed" and event.connection is not None
        }
        return ended | {one.number: (one.bytes_up, one.bytes_down) for one in self._link.connections}

    def frames(self) -> dict[int, ConnectionFrames]:
        """For each connection so far, the frames that it carried; none of a link that does not know them."""
        return dict(getattr(self._link, "frames", {}))

    def mark_change(self) -> None:
        """Moments of the link are counted from here."""
        self._changed = (self._connections(), self._link.bytes_up, self._link.bytes_down)

    def wait_for(self, step: WaitForBytes | WaitForConnection, patience: float) -> bool:
        """Wait for a moment of the link, at most so many seconds; return whether it came."""
        connections, up, down = self._changed
        if isinstance(step, WaitForConnection):
            return self._poll(lambda: self._connections() > connections, patience)
        if step.direction == "up":
            return self._poll(lambda: self._link.bytes_up >= up + step.count, patience)
        return self._poll(lambda: self._link.bytes_down >= down + step.count, patience)

    def wait_idle(self, patience: float) -> None:
        """Until nothing happens for a while: what is forgotten in the field is a flow that was idle.

        A client with something under way may notice by that, such as gRPC, which pings some time after an update, and
        would never notice a flow that dies when it is idle. A link that carries heartbeats is never quiet, and one
        that carries what is written beside this not soon, so it is enough if either is: the link, or all who write.
        """
        passed, since = (-1, -1), time.monotonic()
        until = since + patience
        while (now := time.monotonic()) < until and now - min(since, ACTIVITY.last) < _IDLE_SECONDS:
            if self._is_over():
                break
            if passed != (counts := (self._link.bytes_up, self._link.bytes_down)):
                passed, since = counts, now
            time.sleep(0.01)

    def _connections(self) -> int:
        return sum(event.kind == "accepted" for event in self._link.events)

    def _poll(self, happened: Callable[[], bool], patience: float) -> bool:
        # Whoever reconnects passes its moments within milliseconds; nothing but the link knows them, and a link
        # has no way to call back. Asking every millisecond costs little and lasts half a second at the most.
        deadline = time.monotonic() + patience
        while not happened():
            if time.monotonic() >= deadline or self._is_over():
                return False
            time.sleep(0.001)
        return True


def _waits_for_a_place(active: InForce) -> bool:
    """Whether it has not happened yet, and will once at the most: at a place of one connection."""
    fault = active.fault
    return fault.names_one_connection() and fault.has_a_place() and not active.met_traffic


def _stops(active: InForce) -> bool:
    """Whether nothing, or nothing new, can come through while it holds; a limit may have ended it already."""
    if active.healed:
        return False
    stops = active.fault.stops_traffic
    return stops(met=False) or (stops(met=True) and active.met_traffic)
