"""NetFaults and links that tell somebody what is done with them.

The fixtures hand these out, so that a failing test can show what happened, and a fault that met nothing can be
noticed. To the test they are plain :class:`.NetFault` and :class:`.Link`.

Rules of this file: nothing is judged here and nothing of pytest is known; a watcher is told, in the thread of whoever
acted, after it was done.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from pytest_netfault.control import ActiveFault, Link, NetFault, ProxyThread
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Fault
from pytest_netfault.plugin.frames import first_line_outside
from pytest_netfault.proxy.budget import MAX_HELD

if TYPE_CHECKING:
    from pytest_netfault.proxy.addresses import AddressLike

__all__ = [
    "ClusterNetFault",
    "Outcome",
    "Seen",
    "WatchedLink",
    "WatchedNetFault",
    "Watcher",
    "crash_error",
]


@dataclass(frozen=True)
class Outcome:
    """What became of one fault.

    Attributes:
        key: equal for the faults that are judged together.
        link: the link's name.
        address: where clients of the link connect.
        fault: what was in force.
        met: whether it was seen to meet traffic.
        excused: whether it may have done its work unseen; see :meth:`.Fault.leaves_trace`.
        line: the file and the line that applied it.
    """

    key: object
    link: str
    address: str
    fault: Fault
    met: bool
    excused: bool
    line: tuple[str, int] | None


@dataclass(frozen=True)
class Holding:
    """A fault that was applied and whose outcome was not looked at yet.

    Attributes:
        link: where.
        active: the fault.
        by: the test that applied it and that it should end with; empty for one that is meant to last.
        line: the file and the line that applied it.
    """

    link: WatchedLink
    active: ActiveFault
    by: str
    line: tuple[str, int] | None


@dataclass(frozen=True)
class Seen:
    """What a link has seen.

    Attributes:
        events: what happened, the oldest first.
        bytes_up: bytes delivered to the upstream.
        bytes_down: bytes delivered to clients.
    """

    events: tuple[LinkEvent, ...]
    bytes_up: int
    bytes_down: int


class Watcher(Protocol):
    """Who is told."""

    def responsible(self) -> str:
        """The test that what is opened or applied now should end with; empty for what is meant to last longer."""

    def opened(self, link: WatchedLink) -> None:
        """A link serves."""

    def applied(self, link: WatchedLink, fault: ActiveFault) -> None:
        """A fault is in force."""

    def closing(self, net: WatchedNetFault) -> None:
        """A NetFault is about to close, its faults still in force; told once."""

    def closed(self, net: WatchedNetFault) -> None:
        """A NetFault and all its links are closed; told once."""

    def crashed(self, crash: BaseException) -> bool:
        """The proxy has crashed; whether this was not yet known, so that it must be raised."""


class WatchedNetFault(NetFault):
    """A NetFault on a thread that it shares.

    Args:
        seed: what every random choice is made from.
        thread: where its links live.
        watcher: who is told.
        together: judge faults of a kind on links of a name together, as fits one NetFault for each of many
            generated inputs. Otherwise each fault stands for itself.
        of_test: it belongs to one test, and so do all faults on its links.
    """

    def __init__(
        self, seed: int, thread: ProxyThread, watcher: Watcher, *, together: bool, of_test: bool = False
    ) -> None:
        super().__init__(seed, _thread=thread)
        self.of_test = of_test
        self._watcher = watcher
        self._together = together
        self.watched: list[WatchedLink] = []
        # A deque, because threads of a test may apply faults while the plugin settles: each step of it is atomic.
        self._applied: deque[Holding] = deque()
        self._told = False

    def forward(
        self,
        upstream: AddressLike,
        *,
        listen: AddressLike = ("127.0.0.1", 0),
        name: str | None = None,
        max_held: int = MAX_HELD,
    ) -> Link:
        """See :meth:`.NetFault.forward`."""
        __tracebackhide__ = True
        plain = super().forward(upstream, listen=listen, name=name, max_held=max_held)
        link = WatchedLink(plain, self, self._watcher.responsible())
        self._links[self._links.index(plain)] = link
        self.watched.append(link)
        self._watcher.opened(link)
        return link

    def applied(self, link: WatchedLink, fault: ActiveFault) -> None:
        """Note a fault that one of our links has put in force."""
        self._applied.append(Holding(link, fault, self._watcher.responsible(), first_line_outside()))
        self._watcher.applied(link, fault)

    def holding(self) -> list[Holding]:
        """The faults in force now, the oldest first."""
        return [holding for holding in list(self._applied) if not holding.active.healed]

    def settle(self, since: float) -> list[Outcome]:
        """What became of the faults that are over; each is reported once.

        Args:
            since: when the test began, ``time.monotonic()`` in seconds.
        """
        outcomes = []
        for _ in range(len(self._applied)):
            holding = self._applied.popleft()
            link, fault = holding.link, holding.active
            if not self._closed and not fault.healed:
                self._applied.append(holding)
                continue
            key = (link.name, type(fault.fault)) if self._together else object()
            met = fault.met_traffic
            excused = not fault.fault.leaves_trace() and (
                fault._link.connections.used_since(since) or fault._state.unseen
            )
            outcomes.append(Outcome(key, link.name, link.address, fault.fault, met, excused, holding.line))
        return outcomes

    def close(self) -> None:
        """See :meth:`.NetFault.close`. A crash that was reported already is not raised again."""
        __tracebackhide__ = True
        if self._told:
            return
        self._told = True
        try:
            self._watcher.closing(self)
            super().close()
        except RuntimeError:
            crash = self._thread.crash
            if crash is None:
                raise
            if self._watcher.crashed(crash):
                raise crash_error(crash) from crash
        finally:
            self._watcher.closed(self)

    def __repr__(self) -> str:
        return "netfault"  # hypothesis prints it among the arguments of each falsifying example


class ClusterNetFault(WatchedNetFault):
    """The links between the members of a cluster: a partition is several faults, which are judged as one.

    Two members that follow the same leader have little to say to each other, so that of the links that a partition
    breaks some meet nothing while it holds.
    """

    def settle(self, since: float) -> list[Outcome]:
        """See :meth:`.WatchedNetFault.settle`."""
        return [replace(outcome, key=type(outcome.fault)) for outcome in super().settle(since)]


class WatchedLink(Link):
    """A link whose faults are noted."""

    def __init__(self, plain: Link, net: WatchedNetFault, by: str) -> None:
        super().__init__(plain._thread, plain._link)
        self.net = net
        self.by = by  # the test that it should end with; empty if it is meant to last longer

    def apply(self, fault: Fault) -> ActiveFault:
        """See :meth:`.Link.apply`."""
        __tracebackhide__ = True
        active = super().apply(fault)
        self.net.applied(self, active)
        return active

    def seen(self) -> Seen:
        """What can be shown of it now; also after its end, and after a crash of the proxy."""

        def look() -> Seen:
            link = self._link
            return Seen(
                tuple(link.log.events),
                link.connections.bytes_passed("up"),
                link.connections.bytes_passed("down"),
            )

        try:
            return self._seen(look)
        except RuntimeError:
            return look()  # crashed: nothing moves any more


def crash_error(crash: BaseException) -> RuntimeError:
    """What to raise, from the crash, where the proxy's thread has ended before its time.

    >>> crash_error(ZeroDivisionError("division by zero"))
    RuntimeError("the proxy has crashed: ZeroDivisionError('division by zero')")
    """
    # trio hands over groups; a group of one is that one.
    inner: tuple[BaseException, ...] = getattr(crash, "exceptions", ())
    return crash_error(inner[0]) if len(inner) == 1 else RuntimeError(f"the proxy has crashed: {crash!r}")
