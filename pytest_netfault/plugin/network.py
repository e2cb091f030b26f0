"""The links of a session: one proxy thread, the NetFaults on it, and what was applied to their links.

It knows nothing of pytest. What happens is recorded in the thread that acted, and nothing is kept of a NetFault that
is closed.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_netfault.common.callers import first_line_outside
from pytest_netfault.control import ActiveFault, Link, NetFault, Observer, ProxyThread, net_on
from pytest_netfault.faults import Fault

if TYPE_CHECKING:
    from pytest_netfault.events import LinkEvent

__all__ = [
    "AppliedFault",
    "FaultOutcome",
    "Grouping",
    "Network",
    "ObservedNet",
    "Seen",
    "seen",
]

# Which faults of a NetFault are judged together, so that it is enough if one of them has met traffic:
# * "alone": each is judged by itself.
# * "by link and kind": as fits one NetFault for each of many generated inputs, whose links have the same names.
# * "by kind": as fits a partition, which is one fault on each of several links. Two members that follow the same leader
#   have little to say to each other, so that some of those links carry nothing.
Grouping = Literal["alone", "by link and kind", "by kind"]


@dataclass(frozen=True)
class AppliedFault:
    """A fault that was applied and has not been judged yet.

    Attributes:
        link: where.
        active: the fault.
        owner: the test that applied it and that it should end with; empty for one that is meant to last.
        line: the file and the line that applied it.
    """

    link: Link
    active: ActiveFault
    owner: str
    line: tuple[str, int] | None


@dataclass(frozen=True)
class FaultOutcome:
    """What became of one fault.

    Attributes:
        group: equal for the faults that are judged together.
        link: the link's name.
        address: where clients of the link connect.
        fault: what was in force.
        met: whether it was seen to meet traffic.
        excused: whether it may have done its work unseen; see :meth:`.Fault.leaves_trace`.
        line: the file and the line that applied it.
    """

    group: object
    link: str
    address: str
    fault: Fault
    met: bool
    excused: bool
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


class ObservedNet:
    """A NetFault of the session, with the owners of its links and the faults that were applied to them.

    Args:
        seed: what every random choice is made from.
        thread: where its links live.
        observer: is called after this has noted what happened.
        owner: the test that what is opened or applied now should end with; empty for what is meant to last longer.
        grouping: which of its faults are judged together.
        of_test: whether it belongs to one test, and so do all faults on its links.

    Attributes:
        net: the NetFault.
        owners: its links, and the test that each should end with.
    """

    def __init__(
        self,
        seed: int,
        thread: ProxyThread,
        observer: Observer,
        *,
        owner: Callable[[], str],
        grouping: Grouping,
        of_test: bool,
    ) -> None:
        self.of_test = of_test
        self.owners: dict[Link, str] = {}
        self._observer = observer
        self._owner = owner
        self._grouping = grouping
        # A deque, because threads of a test may apply faults while the plugin settles: each step of it is atomic.
        self._applied: deque[AppliedFault] = deque()
        self._closed = False
        # hypothesis prints it among the arguments of each falsifying example: one word.
        self.net = net_on(thread, seed, observer=self, name="netfault")

    def opened(self, link: Link) -> None:
        """See :meth:`.Observer.opened`."""
        self.owners[link] = self._owner()
        self._observer.opened(link)

    def applied(self, link: Link, fault: ActiveFault) -> None:
        """See :meth:`.Observer.applied`."""
        self._applied.append(AppliedFault(link, fault, self._owner(), first_line_outside()))
        self._observer.applied(link, fault)

    def closing(self, net: NetFault) -> None:
        """See :meth:`.Observer.closing`."""
        self._observer.closing(net)

    def closed(self, net: NetFault) -> None:
        """See :meth:`.Observer.closed`."""
        self._closed = True
        self._observer.closed(net)

    def in_force(self) -> list[AppliedFault]:
        """The faults in force now, the oldest first."""
        return [applied for applied in list(self._applied) if not applied.active.healed]

    def settle(self, since: float) -> list[FaultOutcome]:
        """What became of the faults that are over; each is reported once.

        Args:
            since: when the test began, ``time.monotonic()`` in seconds.
        """
        outcomes = []
        for _ in range(len(self._applied)):
            applied = self._applied.popleft()
            link, active = applied.link, applied.active
            if not self._closed and not active.healed:
                self._applied.append(applied)
                continue
            outcomes.append(
                FaultOutcome(
                    group=self._group(link, active.fault),
                    link=link.name,
                    address=link.address,
                    fault=active.fault,
                    met=active.met_traffic,
                    excused=not active.fault.leaves_trace() and active.may_have_met_unseen(since),
                    line=applied.line,
                )
            )
        return outcomes

    def _group(self, link: Link, fault: Fault) -> object:
        if self._grouping == "alone":
            return object()
        return (link.name, type(fault)) if self._grouping == "by link and kind" else type(fault)


class Network:
    """The proxy thread of a session, and the NetFaults that are open on it, the oldest first.

    Args:
        observer: of all of them.
        owner: see :class:`ObservedNet`.
    """

    def __init__(self, observer: Observer, owner: Callable[[], str]) -> None:
        self._observer = observer
        self._owner = owner
        self._thread: ProxyThread | None = None
        self._nets: list[ObservedNet] = []

    @property
    def nets(self) -> list[ObservedNet]:
        """Those that are open; a copy."""
        return list(self._nets)

    @property
    def links(self) -> list[Link]:
        """The links of those, the oldest first."""
        return [link for net in self._nets for link in net.owners]

    def open(self, seed: int, *, grouping: Grouping = "alone", of_test: bool = False) -> ObservedNet:
        """A new NetFault; the thread is started with the first one, and anew after a crash.

        Raises:
            TypeError: ``seed`` is not a whole number.
        """
        if self._thread is None or self._thread.crash is not None:
            self._thread = ProxyThread()
        net = ObservedNet(
            seed, self._thread, self._observer, owner=self._owner, grouping=grouping, of_test=of_test
        )
        self._nets.append(net)
        return net

    def remove(self, net: NetFault) -> ObservedNet:
        """Forget one that is closed; return what is known of it."""
        [closed] = [one for one in self._nets if one.net is net]
        self._nets.remove(closed)
        return closed

    def in_force(self) -> list[AppliedFault]:
        """The faults in force now on any link, NetFault by NetFault."""
        return [applied for net in self.nets for applied in net.in_force()]

    def unreported_crash(self) -> BaseException | None:
        """See :meth:`.ProxyThread.unreported_crash`."""
        return None if self._thread is None else self._thread.unreported_crash()

    def close(self) -> None:
        """Close all links, the newest first, and end the thread. Idempotent.

        Raises:
            RuntimeError: the proxy had crashed, and no test has said so. Everything is closed all the same.
        """
        with contextlib.ExitStack() as undo:
            if self._thread is not None:
                undo.callback(self._thread.close)
            self._thread = None
            for net in self._nets:
                undo.callback(net.net.close)


def seen(link: Link) -> Seen:
    """What can be shown of a link now; also after its end, and after a crash of the proxy."""

    def look() -> Seen:
        inner = link._link
        carried = inner.connections.bytes_passed
        return Seen(tuple(inner.log.events), carried("up"), carried("down"))

    try:
        return link._seen(look)
    except RuntimeError:
        return look()  # crashed: nothing moves any more
