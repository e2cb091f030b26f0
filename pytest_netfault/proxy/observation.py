"""What can be seen of a link: its events, its connections, and waits for what passes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pytest_netfault.events import Cause, ConnectionState, EventKind, LinkEvent
from pytest_netfault.faults import Direction
from pytest_netfault.framers import Spot
from pytest_netfault.proxy.calls import Moment
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.debug_log import DebugLog
from pytest_netfault.proxy.surroundings import Meter

__all__ = ["EVENTS_KEPT", "ConnectionInfo", "EventLog", "Waiters", "info_of"]

# The last events of a link that are kept. An event takes about 300 bytes, so this is 3 MB at most.
EVENTS_KEPT = 10_000
_OURS = Cause()
# Of a fault: these say in which frame it has met or ended a connection.
_TELL_WHERE = ("hit", "fin", "rst")


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


def info_of(connection: Connection) -> ConnectionInfo:
    """A connection as it is now."""
    return ConnectionInfo(
        number=connection.number,
        client=connection.client_name,
        upstream=connection.upstream_name,
        bytes_up=connection.up.count,
        bytes_down=connection.down.count,
        state=connection.state,
    )


class EventLog:
    """The last events of a link.

    Args:
        link: its name.
        now: the engine's clock.
        debug: where each event goes besides.
    """

    def __init__(self, link: str, now: Callable[[], float], debug: DebugLog) -> None:
        self.events: deque[LinkEvent] = deque(maxlen=EVENTS_KEPT)
        self._link = link
        self._now = now
        self._debug = debug

    def write(
        self,
        kind: EventKind,
        connection: Connection | None,
        cause: Cause = _OURS,
        detail: str = "",
        direction: Direction | None = None,
        *,
        address: str = "",
        met: bool | None = None,
        at: float | None = None,
    ) -> None:
        """Append an event that happens now, or has happened ``at`` a moment ago."""
        number, up, down = None, 0, 0
        frames: tuple[Spot, ...] = ()
        if connection is not None:
            number, up, down = connection.number, connection.up.count, connection.down.count
            if cause.fault is not None and kind in _TELL_WHERE:
                frames = connection.stand(direction)
        event = LinkEvent(
            self._now() if at is None else at,
            self._link,
            kind,
            number,
            cause.by,
            up,
            down,
            detail,
            cause.fault,
            cause.fault_id,
            direction,
            address,
            met,
            cause.source,
            frames,
        )
        self.events.append(event)
        self._debug.write(event)


@dataclass(eq=False)
class _Waiter:
    reached: Callable[[], bool]
    moment: Moment


class Waiters:
    """Who waits for something to pass. While nobody does, passing bytes cost nothing for it."""

    def __init__(self) -> None:
        self.meter = Meter(self.look)
        self._waiters: list[_Waiter] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def wait_until(self, reached: Callable[[], bool]) -> Moment:
        """The moment when ``reached()`` is true; evaluated whenever something passes."""
        waiter = _Waiter(reached, Moment())
        self._waiters.append(waiter)
        self.look()
        return waiter.moment

    def stop_waiting(self, moment: Moment) -> None:
        """Drop a wait that its caller has given up."""
        self._waiters = [waiter for waiter in self._waiters if waiter.moment is not moment]
        self.meter.watched = bool(self._waiters)

    def look(self) -> None:
        """Something has passed: wake those whose condition is true now."""
        for waiter in list(self._waiters):
            if waiter.reached():
                self._waiters.remove(waiter)
                waiter.moment.announce()
        self.meter.watched = bool(self._waiters)

    def cancel(self) -> None:
        """Wake everybody: what they wait for will not come."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.moment.announce(cancelled=True)
