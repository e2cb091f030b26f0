"""A link as tests use it, and the faults in force on it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from pytest_netfault.common.callers import source_line
from pytest_netfault.common.printable import printable
from pytest_netfault.common.wording import counted
from pytest_netfault.control.fault_methods import FaultMethods
from pytest_netfault.control.observer import Observer
from pytest_netfault.events import Cause, LinkEvent
from pytest_netfault.faults import (
    Fault,
    arguments,
    shown,
)
from pytest_netfault.faults.synonyms import no_attribute
from pytest_netfault.proxy.addresses import TcpAddress, UnixAddress, parse_address
from pytest_netfault.proxy.calls import Moment
from pytest_netfault.proxy.evidence import InForce
from pytest_netfault.proxy.link import ProxyLink
from pytest_netfault.proxy.observation import ConnectionInfo
from pytest_netfault.proxy.thread import NetFaultClosed, ProxyThread
from pytest_netfault.proxy.wire import ConnectionFrames

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ActiveFault", "Link"]

T = TypeVar("T")


class ActiveFault:
    """A fault in force. As a context manager it is healed when the block ends."""

    def __init__(self, thread: ProxyThread, link: ProxyLink, state: InForce) -> None:
        self._thread = thread
        self._link = link
        self._state = state

    @property
    def fault(self) -> Fault:
        """What was applied."""
        return self._state.fault

    @property
    def fault_id(self) -> int:
        """Its number on the link, from 1 in the order in which the faults came into force; events name it."""
        return self._state.cause.fault_id or 0

    @property
    def healed(self) -> bool:
        """Whether it is over."""
        return self._state.healed

    @property
    def met_traffic(self) -> bool:
        """Whether it has met a byte, an ending, an open connection or an attempt to connect.

        A connection that the kernel refuses leaves no trace, so a ``refuse()`` alone is never seen to meet any.
        """
        with contextlib.suppress(NetFaultClosed):
            return self._thread.call(lambda: self._link.faults.evidence.met(self._state))
        return self._state.met

    def may_have_met_unseen(self, since: float) -> bool:
        """Whether a fault of a kind that leaves no trace has had somebody to meet.

        The kernel refuses connections and drops segments in silence. Such a fault may have met traffic if its link was
        used at all, or if somebody may have been refused while it held.

        Args:
            since: use before this time does not count; ``time.monotonic()`` in seconds.
        """
        return self._state.unseen or self._link.connections.used_since(since)

    def replace(self, fault: Fault) -> None:
        """Give it other arguments. It keeps its number and its place among the others; what it held goes on at once.

        Args:
            fault: a fault of the same class. Does nothing if this one is healed.

        Raises:
            TypeError: it is of another class, or no fault.
            UnsupportedFault: this machine cannot do it.
            NetFaultClosed: the link was closed.
        """
        _check_fault("replace", fault)
        self._thread.change(lambda: self._link.faults.replace(self._state, fault))

    def heal(self) -> None:
        """Take this fault away, and only this one. Returns when it is gone; idempotent, also after close."""
        with contextlib.suppress(NetFaultClosed):
            self._thread.change(lambda: self._link.faults.heal(self._state))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.heal()

    def __repr__(self) -> str:
        return f"<{self.fault!r} on {printable(self._link.name)}, {'healed' if self.healed else 'in force'}>"


class Link(FaultMethods):
    """A local port that forwards to a server, and that the test can break. Made by :meth:`.NetFault.forward`."""

    # More methods than a class of ours should have: it is all that a test sees of a link, and most of them are one line
    # over the objects of the proxy.

    def __init__(self, thread: ProxyThread, link: ProxyLink, observer: Observer | None = None) -> None:
        self._thread = thread
        self._link = link
        self._observer = observer
        parsed = parse_address(link.listener.address, what="listen")
        self._parsed = parsed

    # -- where it is --------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The link's name in events and reports."""
        return self._link.name

    @property
    def address(self) -> str:
        """Where to connect, as ``"127.0.0.1:<port>"``, ``"[::1]:<port>"`` or ``"unix:<path>"``."""
        return str(self._parsed)

    @property
    def host(self) -> str:
        """The host to connect to; the path for a Unix socket."""
        return self._parsed.path if isinstance(self._parsed, UnixAddress) else self._parsed.host

    @property
    def port(self) -> int:
        """The port to connect to; 0 for a Unix socket."""
        return self._parsed.port if isinstance(self._parsed, TcpAddress) else 0

    @property
    def upstream(self) -> str:
        """The address that is forwarded to."""
        return str(self._link.upstream)

    # -- seeing -------------------------------------------------------------------------------------------

    @property
    def connections(self) -> list[ConnectionInfo]:
        """The live connections, oldest first, as they are now."""
        return self._seen(self._link.connections.infos)

    @property
    def frames(self) -> dict[int, ConnectionFrames]:
        """What each connection has delivered so far in frames of its protocol, by its number.

        Only a link that was opened with ``forward(..., frames=)`` knows that of more than the first 16 KiB of the
        live connections. Of connections that have ended it remembers the first 200.
        """
        return self._seen(self._link.connections.frames)

    @property
    def events(self) -> tuple[LinkEvent, ...]:
        """What has happened on this link, the oldest first; the last 10,000 events are kept."""
        return self._seen(lambda: tuple(self._link.log.events))

    @property
    def accepted(self) -> int:
        """How many connections have been accepted so far, live or not."""
        return self._seen(lambda: self._link.connections.accepted)

    @property
    def bytes_up(self) -> int:
        """Bytes delivered from clients to the upstream so far, by all connections."""
        return self._seen(lambda: self._link.connections.bytes_passed("up"))

    @property
    def bytes_down(self) -> int:
        """Bytes delivered from the upstream to clients so far, by all connections."""
        return self._seen(lambda: self._link.connections.bytes_passed("down"))

    @property
    def attempts_refused(self) -> int:
        """Attempts to connect that the link has refused so far, where it could see them.

        It sees them where a fault refuses some only: ``refuse(count=3)``, or one with ``connections`` or ``share``.
        Where all are refused the kernel does it, and says nothing of it.
        """
        return self._seen(lambda: self._link.connections.refused)

    def _seen(self, look: Callable[[], T]) -> T:
        """What can be seen stays visible after the end: a failure report looks when all is over."""
        try:
            return self._thread.call(look)
        except NetFaultClosed:
            return look()

    def wait_for_connection(self, count: int = 1, timeout: float = 5) -> None:
        """Wait until ``count`` connections have been accepted since the link was made.

        Connections are numbered from 1 in the order of acceptance, so after ``wait_for_connection(2)`` the
        second one is there, whether the first one lives or not.

        Raises:
            TimeoutError: fewer came within ``timeout`` seconds; the message says how many, and what they did.
            NetFaultClosed: the link was closed before or meanwhile.
        """
        _check_wait(count, timeout)
        self._wait(lambda: self._link.connections.accepted >= count, counted(count, "connection"), timeout)

    def wait_for_bytes(
        self, count: int, direction: Literal["up", "down", "both"] = "up", timeout: float = 5
    ) -> None:
        """Wait until ``count`` bytes have been delivered in a direction, by all connections of the link together.

        Raises:
            TimeoutError: fewer passed within ``timeout`` seconds; the message says how many.
        """
        _check_wait(count, timeout)
        if direction not in ("up", "down", "both"):
            raise ValueError(f"direction must be 'up', 'down' or 'both', not {shown(direction)}")

        def passed() -> int:
            ways: tuple[Literal["up", "down"], ...] = ("up", "down") if direction == "both" else (direction,)
            return sum(self._link.connections.bytes_passed(way) for way in ways)

        where = "both ways" if direction == "both" else direction
        self._wait(lambda: passed() >= count, f"{counted(count, 'byte')} {where}", timeout)

    def _wait(self, reached: Callable[[], bool], what: str, timeout: float) -> None:
        __tracebackhide__ = True

        def wait() -> Moment:
            if not reached():
                self._check_open()
            return self._link.waiters.wait_until(reached)

        moment = self._thread.call(wait)
        try:
            moment.wait(timeout)
        finally:
            with contextlib.suppress(NetFaultClosed, RuntimeError):
                self._thread.change(lambda: self._link.waiters.stop_waiting(moment))
        if moment.cancelled:
            self._thread.raise_crash()
            raise NetFaultClosed(f"link {printable(self.name)} was closed while waiting for {what}")
        if not moment.come:
            raise TimeoutError(
                f"waited {timeout:g} s for {what} on link {printable(self.name)}, but {self._story()}"
            )

    def assert_traffic(self, *, up: int = 1, down: int = 1) -> None:
        """Assert that the client under test really went through this link.

        A test that breaks a link which nobody uses passes for the wrong reason; this says so.

        Args:
            up: bytes that must have been delivered from clients to the upstream, at least.
            down: the same from the upstream to clients.

        Raises:
            AssertionError: fewer passed; the message says how many, and what came of the connections.
        """
        __tracebackhide__ = True
        arguments.count("up", up, least=0)
        arguments.count("down", down, least=0)
        if self.bytes_up < up or self.bytes_down < down:
            raise AssertionError(
                f"link {printable(self.name)} should have carried {counted(up, 'byte')} up and "
                f"{counted(down, 'byte')} down, but {self._story()}; "
                f"does the client connect to {self.address}?"
            )

    def _story(self) -> str:
        live = ", ".join(
            f"#{one.number} {one.state} (up {one.bytes_up} B, down {one.bytes_down} B)"
            for one in self.connections[:8]
        )
        return (
            f"saw {counted(self._link.connections.accepted, 'connection')}, {counted(self.bytes_up, 'byte')} up and "
            f"{counted(self.bytes_down, 'byte')} down; "
            f"live: {live or 'none'}"
        )

    # -- breaking -----------------------------------------------------------------------------------------

    def apply(self, fault: Fault) -> ActiveFault:
        """Put any fault in force: when this returns, it holds for every open and every future connection.

        Args:
            fault: a fault of :mod:`pytest_netfault.faults`, or a :class:`pytest_netfault.proxy.CustomFault`.

        Returns:
            The fault in force; heal it, or use it as a context manager.

        Raises:
            TypeError: ``fault`` is not a fault.
            UnsupportedFault: this machine cannot do it.
            NetFaultClosed: the link was closed.
        """
        _check_fault("apply", fault)

        active = InForce(fault, source=source_line())

        def apply() -> None:
            try:
                self._check_open()
                self._link.faults.apply(active)
            except BaseException:
                active.healed = True
                raise

        self._thread.change(apply)
        applied = ActiveFault(self._thread, self._link, active)
        if self._observer is not None:
            self._observer.applied(self, applied)
        return applied

    def _note(self, text: str, source: str, at: float) -> None:
        """Write a line of :meth:`.NetFault.note`; a link that is closed takes none."""
        if not self._link.closed:
            self._link.log.write("note", None, Cause(source=source), text, at=at)

    def heal(self) -> None:
        """Take every fault of this link away. Does nothing after close."""
        with contextlib.suppress(NetFaultClosed):
            self._thread.change(self._link.faults.heal_all)

    def close(self) -> None:
        """End the link: its faults, its connections and its port. Idempotent."""
        self._thread.drop(self._link)

    def __enter__(self) -> Self:
        """The link, which is closed when the block ends."""
        self._check_open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._link.closed:
            raise NetFaultClosed(f"link {printable(self.name)} was closed")

    if not TYPE_CHECKING:  # a type checker finds the wrong name by itself

        def __getattr__(self, name: str) -> object:
            raise AttributeError(no_attribute("Link", name), name=name, obj=self)

    def __repr__(self) -> str:
        return f"<Link {printable(self.name)}: {self.address} -> {self.upstream}>"


def _check_fault(method: str, fault: object) -> None:
    if not isinstance(fault, Fault) or type(fault) is Fault:
        raise TypeError(
            f"{method} takes a fault such as Sever() or Delay(0.1), or a CustomFault, not {shown(fault)}"
        )
    fault.check()


def _check_wait(count: object, timeout: object) -> None:
    arguments.count("count", count, least=0)
    arguments.number("timeout", timeout, least=0, most=threading.TIMEOUT_MAX)
