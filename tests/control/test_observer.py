"""An observer of a NetFault: what it is told, in which order, and whom its errors reach."""

from __future__ import annotations

import contextlib

import pytest

from pytest_netfault.control import ActiveFault, Link, NetFault, Observer
from pytest_netfault.faults import Delay


class Log:
    """Notes what happens, and how things are at that moment; raises where it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.lines: list[str] = []
        self._failing = failing

    def opened(self, link: Link) -> None:
        self._note("opened", link.name)

    def applied(self, link: Link, fault: ActiveFault) -> None:
        self._note("applied", f"{fault.fault!r} to {link.name}, {'healed' if fault.healed else 'in force'}")

    def closing(self, net: NetFault) -> None:
        self._note("closing", f"{len(net.links[0].connections)} connections")

    def closed(self, net: NetFault) -> None:
        with pytest.raises(RuntimeError, match="closed"):
            net.forward(9)
        self._note("closed", repr(net))

    def _note(self, what: str, how: str) -> None:
        self.lines.append(f"{what} {how}")
        if what == self._failing:
            raise ZeroDivisionError(what)


def test_it_hears_of_links_faults_and_the_end_once_each() -> None:
    log = Log()
    observer: Observer = log
    with NetFault(seed=5, observer=observer) as net:
        link = net.forward(9, name="store")
        assert type(link) is Link
        with link.delay(1):
            link.reset()
        net.close()
        net.close()
    assert log.lines == [
        "opened store",
        "applied Delay(1) to store, in force",
        "applied Reset() to store, healed",
        "closing 0 connections",
        "closed <NetFault seed=5>",
    ]


def test_at_the_beginning_of_the_end_faults_are_still_in_force() -> None:
    class Last(Log):
        def closing(self, net: NetFault) -> None:
            self._note("closing", str(fault.healed))

    log = Last()
    with NetFault(seed=5, observer=log) as net:
        fault = net.forward(9).apply(Delay(1))
    assert log.lines[-2:] == ["closing False", "closed <NetFault seed=5>"]
    assert fault.healed


@pytest.mark.parametrize("failing", ["opened", "applied", "closing", "closed"])
def test_what_it_raises_reaches_the_caller_and_everything_is_closed(failing: str) -> None:
    log = Log(failing)
    net = NetFault(seed=5, observer=log)
    with pytest.raises(ZeroDivisionError, match=failing), contextlib.closing(net):
        net.forward(9).delay(1)
    with contextlib.suppress(RuntimeError):
        net.close()
    assert log.lines[-1] == "closed <NetFault seed=5>"
    assert not net._thread._life.thread.is_alive()  # type: ignore[union-attr]


def test_a_link_without_an_observer_needs_none() -> None:
    with NetFault(seed=5) as net:
        assert net.forward(9).delay(1).fault == Delay(1)
