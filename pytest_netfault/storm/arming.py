"""Puts the fault of one play on every link that is open, and on those that are opened meanwhile.

Links between the members of a cluster are left alone (:mod:`pytest_netfault.servers.peers` says why).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_netfault.control import ActiveFault
from pytest_netfault.control.registry import open_links, unwatch, watch
from pytest_netfault.events import Cause
from pytest_netfault.proxy.evidence import InForce
from pytest_netfault.servers.peers import is_between_members
from pytest_netfault.storm.traffic import Traffic
from pytest_netfault.storm.transient import transient

if TYPE_CHECKING:
    from pytest_netfault.control import Link

__all__ = ["Arming", "reset_all"]


class Arming:
    """The faults of one play, in force from :meth:`arm` to :meth:`heal`.

    They are applied without the observer of the links: a storm is no fault of the test.

    Args:
        traffic: counts, and knows the place.
    """

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self._lock = threading.Lock()
        self._armed: dict[int, tuple[Link, ActiveFault]] = {}
        self._over = False

    def arm(self) -> None:
        """From now on what the links carry counts."""
        watch(self._put_on)
        for link in open_links():
            self._put_on(link)

    def _put_on(self, link: Link) -> None:
        with self._lock:
            if self._over or id(link) in self._armed or is_between_members(link.address):
                return
            active = InForce(transient(self.traffic, f"{link.name} {link.address}"), source="")
            with contextlib.suppress(RuntimeError):  # closed, or crashed: it carries nothing
                link._thread.change(lambda: link._link.faults.apply(active))
                self._armed[id(link)] = (link, ActiveFault(link._thread, link._link, active))

    def heal(self) -> None:
        """Take the faults away, and reset a connection that was made mute: nobody else would end it. Idempotent."""
        unwatch(self._put_on)
        with self._lock:
            if self._over:
                return
            self._over = True
            armed = list(self._armed.values())
        struck = self.traffic.struck
        place = self.traffic.place
        for link, active in armed:
            if struck is not None and place is not None and place.fault == "forget":
                with contextlib.suppress(RuntimeError):
                    _reset(link, lambda key: key == struck)
            with contextlib.suppress(RuntimeError):
                active.heal()


def reset_all() -> None:
    """Reset every connection of every link that a storm acts on, so that whoever waits for one hears of it."""
    for link in open_links():
        if not is_between_members(link.address):
            with contextlib.suppress(RuntimeError):
                _reset(link, lambda _key: True)


def _reset(link: Link, chosen: Callable[[tuple[str, int]], bool]) -> None:
    name = f"{link.name} {link.address}"

    def reset() -> None:
        for connection in list(link._link.connections):
            if chosen((name, connection.number)):
                connection.close_with_reset(Cause())

    link._thread.change(reset)
