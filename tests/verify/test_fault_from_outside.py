"""A fault that is written elsewhere declares what ours declare, and takes every way that ours take."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_netfault import NetFault, UnsupportedFault, UpdateLost, verify
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Chance, Direction, Fault, Traits, fault_from_json, fault_to_json, limits_of
from pytest_netfault.proxy import CustomFault, Ending, Item, Place, Stage
from pytest_netfault.report.timeline_faults import fault_spans
from pytest_netfault.schedules import Break, Schedule, Subscribe, Write
from pytest_netfault.schedules.generate import FaultMix, seeded
from pytest_netfault.schedules.shrink import Asked, candidates


class ResetAfter(Stage):
    """Lets so many items pass, and then a reset."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self._left = items

    def pull(self, now: float) -> Item | None:
        item = super().pull(now)
        if item is None:
            return None
        self._left -= 1
        return Ending.RST if self._left < 0 else item


@dataclass(frozen=True, repr=False)
class Crack(CustomFault):
    """Needs an argument, and says itself which are worth trying."""

    items: int
    direction: Direction = "both"

    traits = Traits(effect="a connection cracks under its load", weight=7, mild=True)

    def stage(self, place: Place) -> Stage:
        return ResetAfter(self.items)

    @classmethod
    def draw(cls, chance: Chance) -> Crack:
        return cls(chance.one((2, 1, 0)), "down")

    def ends_connections(self) -> bool:
        return True

    def complexity(self) -> int:
        return super().complexity() + self.items

    def simpler(self) -> Iterator[Fault]:
        yield Crack(0, self.direction)
        yield Crack(self.items)


@dataclass(frozen=True, repr=False)
class Closed(CustomFault):
    """Has no stage: its traits say all that it does."""

    traits = Traits(effect="the door is closed", listener="refuse", connections="sever", keeps_away=True)


@dataclass(frozen=True, repr=False)
class Crash(CustomFault):
    """Done at once."""

    traits = Traits(effect="everything falls", connections="reset")


@dataclass(frozen=True, repr=False)
class Held(CustomFault):
    """Holds what comes, and says what happens to it in the end."""

    on_heal: Literal["resume", "sever", "reset"] = "resume"

    def stage(self, place: Place) -> Stage:
        return Hold()


class Hold(Stage):
    def pull(self, now: float) -> Item | None:
        return None


@dataclass(frozen=True, repr=False)
class Lossy(CustomFault):
    def packet_loss(self) -> float:
        return 0.5


def drawn(*faults: type[Fault] | Fault, count: int = 60) -> list[Fault]:
    schedules = (seeded(1, number, FaultMix(faults)) for number in range(count))
    return [step.fault for schedule in schedules for step in schedule if isinstance(step, Break)]


class TestDrawing:
    def test_its_class_is_drawn_with_the_arguments_that_it_chooses(self) -> None:
        assert {repr(fault) for fault in drawn(Crack) if not limits_of(fault)} == {
            "Crack(0, direction='down')",
            "Crack(1, direction='down')",
            "Crack(2, direction='down')",
        }

    def test_it_is_drawn_with_limits_like_ours(self) -> None:
        limited = [limits_of(fault) for fault in drawn(Crack, count=200) if limits_of(fault)]
        assert {one.share is None for one in limited} == {True, False}

    def test_as_often_as_it_says(self) -> None:
        kinds = [type(fault) for fault in drawn(Crack, Closed, count=300)]
        assert kinds.count(Crack) > 3 * kinds.count(Closed) > 0

    def test_a_subscriber_reconnects_after_one_that_says_that_it_ends_connections(self) -> None:
        steps = [repr(step) for number in range(60) for step in seeded(1, number, FaultMix([Crack]))]
        assert "WaitForConnection()" in steps

    def test_a_strategy_draws_it(self) -> None:
        from hypothesis import Phase, find, settings

        from pytest_netfault.schedules.strategies import schedules

        # How far Hypothesis shrinks is a matter of luck; that this argument is drawn is not.
        found = find(
            schedules(faults=[Crack]),
            lambda one: "Break(Crack(2, direction='down'))" in repr(one),
            settings=settings(database=None, phases=[Phase.generate], max_examples=1000),
        )
        assert {type(step.fault) for step in found if isinstance(step, Break)} == {Crack}


def tried(asked: Asked) -> set[Fault]:
    """The faults that a smaller schedule is tried with, but the one that it has."""
    schedule = Schedule([Subscribe(), Break(Crack(2, "down")), Write("a")])
    steps = (step for made in candidates(schedule, asked) for step in made)
    return {step.fault for step in steps if isinstance(step, Break)} - {Crack(2, "down")}


class TestShrinking:
    def test_its_simpler_forms_are_tried(self) -> None:
        assert tried(Asked((Crack(2, "down"),))) == set()


@pytest.mark.parametrize("fault", [Crack(2, "down"), Closed(), Crash(), Held("reset")], ids=repr)
def test_it_goes_to_json_and_back(fault: Fault) -> None:
    assert fault_from_json(fault_to_json(fault)) == fault


def test_a_timeline_says_what_it_does() -> None:
    events = [LinkEvent(1.0, "etcd", "fault", fault=Crash(), fault_id=1)]
    [span] = fault_spans(events, since=0.0, until=9.0)
    assert span.does == "everything falls"
    assert span.shade == (1.0, 1.0), "it was over when it was applied"


@pytest.fixture
def net() -> Iterator[NetFault]:
    with NetFault(seed=1) as net:
        yield net


class Peers:
    """A link with one connection through it."""

    def __init__(self, net: NetFault, server: socket.socket) -> None:
        self.link = net.forward(server.getsockname())
        self.client = socket.create_connection((self.link.host, self.link.port), timeout=10)
        self.served = server.accept()[0]
        self.served.settimeout(10)


@pytest.fixture
def peers(net: NetFault) -> Iterator[Peers]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers = Peers(net, server)
        with peers.client, peers.served:
            yield peers


class TestApplying:
    def test_what_it_says_of_the_listener_and_of_open_connections_is_done(self, peers: Peers) -> None:
        with peers.link.apply(Closed()) as active:
            assert peers.client.recv(1) == b""
            assert active.met_traffic
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((peers.link.host, peers.link.port), timeout=10)
        socket.create_connection((peers.link.host, peers.link.port), timeout=10).close()

    def test_one_that_is_done_at_once_has_nothing_to_heal(self, peers: Peers) -> None:
        active = peers.link.apply(Crash())
        assert active.healed
        with pytest.raises(ConnectionResetError):
            peers.client.recv(1)

    @pytest.mark.parametrize(("on_heal", "ends"), [("resume", b"late"), ("sever", b""), ("reset", None)])
    def test_it_says_how_it_ends(self, peers: Peers, on_heal: Any, ends: bytes | None) -> None:
        with peers.link.apply(Held(on_heal)) as active:
            peers.client.sendall(b"late")
            while not active.met_traffic:
                pass
        if ends is None:
            with pytest.raises(ConnectionResetError):
                peers.served.recv(9)
        else:
            assert peers.served.recv(9) == ends

    def test_one_that_needs_the_kernel_is_refused_where_the_kernel_cannot(
        self, net: NetFault, tmp_path: Path
    ) -> None:
        link = net.forward(f"unix:{tmp_path}/socket")
        with pytest.raises(UnsupportedFault, match=r"^Lossy\(\) "):
            link.apply(Lossy())

    def test_an_argument_does_not_hide_what_every_fault_declares(self, peers: Peers) -> None:
        @dataclass(frozen=True, repr=False)
        class Draws(CustomFault):
            draw: int = 1  # type: ignore[assignment]

            def stage(self, place: Place) -> Stage | None:
                return None

        with pytest.raises(
            TypeError, match=r"^Draws: draw is what every fault declares of itself; give the argument"
        ):
            peers.link.apply(Draws())

    def test_how_it_ends_is_one_of_three(self, peers: Peers) -> None:
        with pytest.raises(
            ValueError, match=r"^Held: on_heal must be 'resume', 'sever' or 'reset', not 'never'"
        ):
            peers.link.apply(Held("never"))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_proof_draws_shrinks_and_tells_it(toy: Any, server: Any, tmp_path: Path) -> None:
    class FromNow(toy.RightStore):  # type: ignore[misc]
        def resume_at(self) -> None:
            return None

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = 0
            super().on_events(revision, changes)

    with pytest.raises(UpdateLost) as lost:
        verify.no_update_lost(FromNow, server, faults=[Crack], seed=1, settle=0.5, report_dir=tmp_path)
    assert {type(step.fault) for step in lost.value.schedule if isinstance(step, Break)} == {Crack}
    [page] = tmp_path.glob("*.html")
    assert "a connection cracks under its load" in page.read_text()
    assert f"from {__name__} import Crack" in str(lost.value)
    [saved] = tmp_path.glob("*.json")
    assert Schedule.from_json(json.loads(saved.read_text())["schedule"]) == lost.value.schedule
