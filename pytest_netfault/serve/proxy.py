"""One proxy: a name, two addresses, what is in force, and a link while it is enabled.

Rules of this file:

* Everything runs on the server's thread, each method as one step without an ``await``, so that requests cannot see
  each other half done. Each takes milliseconds and waits for no peer.
* Disabled means that the port is free: the link has given it away and ends what was open in order, which nobody waits
  for. Enabled again, a new link takes the same port, with the same toxics and faults in force before it accepts.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_netfault.control import ActiveFault, ConnectionInfo, Link, NetFaultClosed, ProxyThread
from pytest_netfault.events import Cause, LinkEvent
from pytest_netfault.faults import Fault, Sever, UnsupportedFault
from pytest_netfault.proxy.addresses import Address, TcpAddress
from pytest_netfault.proxy.kernel_effects import check_supported
from pytest_netfault.proxy.link import ProxyLink
from pytest_netfault.proxy.stage import Ending
from pytest_netfault.serve.errors import TOXIC_EXISTS, TOXIC_NOT_FOUND, ApiError
from pytest_netfault.serve.listening import Listen, bind_error, parse_upstream
from pytest_netfault.serve.toxics import Toxic, read_toxic, updated_toxic

__all__ = ["Host", "Proxy"]

_WAYS: tuple[Literal["up", "down"], ...] = ("up", "down")


@dataclass
class Host:
    """What the proxies of a server share.

    Attributes:
        thread: where their links live.
        seed: what random choices are made from.
        retired: links that have given their port away and end by themselves.
    """

    thread: ProxyThread
    seed: int
    retired: list[ProxyLink]

    def reap(self) -> None:
        """Forget the links that have ended."""
        still = []
        for link in self.retired:
            if link.released:
                self.thread.drop(link)
            else:
                still.append(link)
        self.retired[:] = still


@dataclass(eq=False)
class _Held:
    """A fault that a proxy keeps, and where it is in force now."""

    number: int
    fault: Fault
    active: ActiveFault | None = None


# More methods than a class of ours should have: it is what the two interfaces, that of Toxiproxy and our own, have in
# common, and each of them is one request.
class Proxy:
    """A proxy as clients of Toxiproxy know it.

    Args:
        host: what it shares with others.
        name: its name.
        listen: the address as the client gave it.
        upstream: likewise; it is never looked at before a client connects.
    """

    def __init__(self, host: Host, name: str, listen: str, upstream: str) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.resolved: Listen | None = None  # where it listened last
        self._host = host
        self._held: list[_Held] = []
        self._numbers = itertools.count(1)
        self._made: ProxyLink | None = None
        self._link: Link | None = None
        self._past = {"up": 0, "down": 0}
        self._past_taken = {"up": 0, "down": 0}

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self._link is not None

    def to_json(self) -> dict[str, Any]:
        """The proxy as clients get it."""
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "Logger": {},
            "toxics": [toxic.to_json() for toxic in self.toxics],
        }

    # -- on and off ---------------------------------------------------------------------------------------

    def start(self, at: Listen) -> None:
        """Listen, with everything in force that it keeps. Does nothing if it is enabled.

        Raises:
            ApiError: 400, something that it keeps cannot be in force there; 500, the address cannot be listened on.
        """
        if self._link is not None:
            return
        self.check_upstream(self.upstream)
        self._host.reap()
        made = self._open(at.addresses)
        link = Link(self._host.thread, made)
        try:
            for held in self._held:
                held.active = link.apply(held.fault)
            self._host.thread.add(made)
        except BaseException:
            self._host.thread.drop(made)
            for held in self._held:
                held.active = None
            raise
        self._made, self._link = made, link
        self.listen = made.listener.address
        self.resolved = Listen(self.listen, _with_port(at.addresses, link.port))

    def check_upstream(self, upstream: str) -> None:
        """See whether all that it keeps can be in force between here and there.

        Raises:
            ApiError: 400, it cannot.
        """
        try:
            for held in self._held:
                check_supported(held.fault, parse_upstream(upstream), self.listen)
        except UnsupportedFault as error:
            raise ApiError(str(error), 400) from error
        except ValueError:
            return  # an address that is none is looked at when somebody connects

    def _open(self, addresses: Sequence[Address]) -> ProxyLink:
        try:
            return self._open_at(addresses)
        except ApiError:
            if str(addresses[0]).startswith("[::]") and len(addresses) > 1:
                with contextlib.suppress(ApiError):  # without IPv6 "every address" is every one of IPv4
                    return self._open_at(addresses[1:])
            raise

    def _open_at(self, addresses: Sequence[Address]) -> ProxyLink:
        try:
            return ProxyLink(
                self._host.thread.engine(),
                parse_upstream(self.upstream),
                addresses,
                name=self.name,
                seed=self._host.seed,
                look_up_first=False,
                unreachable=Ending.FIN,  # as Toxiproxy ends it; its clients take a connection for a proxy that is up
            )
        except OSError as error:
            raise ApiError(bind_error(addresses[0], error), 500) from error
        except ValueError as error:
            raise ApiError(str(error), 500) from error

    def stop(self) -> None:
        """Stop listening and end every connection in order. Does nothing if it is disabled."""
        if self._made is None:
            return
        made, self._made, self._link = self._made, None, None
        self._forget_healed()
        for held in self._held:
            held.active = None

        def retire() -> None:
            for way in _WAYS:
                self._past[way] += made.connections.bytes_passed(way)
                self._past_taken[way] += made.connections.bytes_taken(way)
            made.retire(Cause(fault=Sever()))

        self._host.thread.change(retire)
        self._host.retired.append(made)
        self._host.reap()

    # -- toxics -------------------------------------------------------------------------------------------

    @property
    def toxics(self) -> list[Toxic]:
        """The toxics: those of the stream up, then those down, then those of both, each in the order of creation."""
        found = [held.fault for held in self._held if isinstance(held.fault, Toxic)]
        return sorted(found, key=lambda toxic: ("up", "down", "both").index(toxic.direction))

    def toxic(self, name: str) -> Toxic:
        """The toxic of this name.

        Raises:
            ApiError: 404.
        """
        fault = self._toxic(name).fault
        assert isinstance(fault, Toxic)
        return fault

    def _toxic(self, name: str) -> _Held:
        for held in self._held:
            if isinstance(held.fault, Toxic) and held.fault.name == name:
                return held
        raise TOXIC_NOT_FOUND()

    def add_toxic(self, body: object) -> Toxic:
        """Add a toxic to the end of the chain; in force when this returns.

        Raises:
            ApiError: 400 or 409.
            UnsupportedFault: this machine cannot do it.
        """
        toxic = self.read_toxic(body, [toxic.name for toxic in self.toxics])
        self._apply(toxic)
        return toxic

    def read_toxic(self, body: object, taken: Sequence[str]) -> Toxic:
        """A toxic for this proxy whose name is none of ``taken``, or :class:`ApiError`."""

        def check_name(name: str) -> None:
            if name in taken:
                raise TOXIC_EXISTS()

        return read_toxic(body, root=f"{self._host.seed}/{self.name}", check_name=check_name)

    def add_toxics(self, toxics: Sequence[Toxic]) -> None:
        """Add toxics that were read before."""
        for toxic in toxics:
            self._apply(toxic)

    def update_toxic(self, name: str, body: object) -> Toxic:
        """Change attributes or toxicity of a toxic, or raise :class:`ApiError`."""
        held = self._toxic(name)
        assert isinstance(held.fault, Toxic)
        toxic = updated_toxic(held.fault, body)
        if held.active is not None:
            held.active.replace(toxic)
        held.fault = toxic
        return toxic

    def remove_toxic(self, name: str) -> None:
        """Remove a toxic: what it held goes on. Or raise :class:`ApiError`."""
        self._drop(self._toxic(name))

    def remove_all(self) -> None:
        """Remove all toxics and faults, the newest first."""
        for held in reversed(list(self._held)):
            self._drop(held)

    # -- faults of ours -----------------------------------------------------------------------------------

    @property
    def faults(self) -> Iterator[tuple[int, Fault]]:
        """Faults that are no toxics, by number, the oldest first."""
        self._forget_healed()
        return ((held.number, held.fault) for held in self._held if not isinstance(held.fault, Toxic))

    def apply(self, fault: Fault) -> int | None:
        """Put a fault of ours in force, also each time that the proxy is enabled again.

        Returns:
            Its number; None for one that has done all that it does, such as a reset.

        Raises:
            UnsupportedFault: this machine cannot do it.
        """
        return self._apply(fault)

    def heal(self, number: int) -> bool:
        """Take a fault of ours away; whether there was one of this number."""
        self._forget_healed()
        for held in self._held:
            if held.number == number and not isinstance(held.fault, Toxic):
                self._drop(held)
                return True
        return False

    def heal_all(self) -> None:
        """Take every fault of ours away; the toxics stay."""
        for held in reversed(list(self._held)):
            if not isinstance(held.fault, Toxic):
                self._drop(held)

    def _apply(self, fault: Fault) -> int | None:
        active = self._link.apply(fault) if self._link is not None else None
        if fault.traits.momentary:
            return None
        held = _Held(next(self._numbers), fault, active)
        self._held.append(held)
        return held.number

    def _forget_healed(self) -> None:
        """A fault with a limit may have healed itself: it is not in force any more, and does not come again."""
        self._held = [held for held in self._held if held.active is None or not held.active.healed]

    def _drop(self, held: _Held) -> None:
        self._held.remove(held)
        if held.active is not None:
            held.active.heal()

    # -- seeing -------------------------------------------------------------------------------------------

    @property
    def link(self) -> Link | None:
        """The link while it is enabled."""
        return self._link

    @property
    def connections(self) -> list[ConnectionInfo]:
        """The live connections."""
        return self._link.connections if self._link is not None else []

    @property
    def events(self) -> tuple[LinkEvent, ...]:
        """What has happened since it was last enabled."""
        return self._link.events if self._link is not None else ()

    def bytes(self) -> dict[str, int]:
        """Bytes so far: ``received`` from the senders and ``sent`` to the receivers of each direction."""
        made = self._made

        def count() -> dict[str, int]:
            counts = {}
            for way in _WAYS:
                sent, received = self._past[way], self._past_taken[way]
                if made is not None:
                    sent += made.connections.bytes_passed(way)
                    received += made.connections.bytes_taken(way)
                counts[f"{way}_received"], counts[f"{way}_sent"] = received, sent
            return counts

        if made is None:
            return count()
        try:
            return self._host.thread.call(count)
        except NetFaultClosed:
            return count()


def _with_port(addresses: Sequence[Address], port: int) -> tuple[Address, ...]:
    return tuple(TcpAddress(one.host, port) if isinstance(one, TcpAddress) else one for one in addresses)
