"""What is called when something is done with a :class:`.NetFault`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_netfault.control.link import ActiveFault, Link
    from pytest_netfault.control.netfault import NetFault

__all__ = ["Observer"]


class Observer(Protocol):
    """Observer of what is done with a :class:`NetFault`, as ``NetFault(observer=...)``.

    Each method is called once for each thing that happens, in the thread that acted, after the action took effect and
    before it returns to its caller. What a method raises, that caller gets. Threads that share a NetFault may call at
    the same time.

    >>> from pytest_netfault import NetFault
    >>> class Log:
    ...     def opened(self, link): print("opened", link.name)
    ...     def applied(self, link, fault): print("applied", fault.fault, "to", link.name)
    ...     def closing(self, net): print("closing", len(net.links), "link")
    ...     def closed(self, net): print("closed")
    >>> with NetFault(observer=Log()) as net:
    ...     with net.forward("127.0.0.1:2379", name="store").delay(0.1):
    ...         pass
    opened store
    applied Delay(0.1) to store
    closing 1 link
    closed
    """

    def opened(self, link: Link) -> None:
        """A link was opened: it serves, and belongs to its NetFault."""

    def applied(self, link: Link, fault: ActiveFault) -> None:
        """A fault is in force on a link, whichever method applied it."""

    def closing(self, net: NetFault) -> None:
        """A NetFault is about to close; its links still serve, and its faults are in force."""

    def closed(self, net: NetFault) -> None:
        """A NetFault and all its links are closed, also where closing one of them has raised."""
