"""A fault that is limited: to a time, to some connections, to a share of them, to the next few attempts."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.control import ActiveFault, NetFault
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Forget,
    Limits,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
    limits_of,
)
from pytest_netfault.proxy import CustomFault, Place, Stage


def served(rig: Any) -> Any:
    """A connection through which bytes pass both ways."""
    pair = rig.connect()
    assert passes(pair)
    return pair


def passes(pair: Any) -> bool:
    pair.client.sendall(b"up")
    pair.server.sendall(b"down")
    return bool(pair.server.recv(9) == b"up" and pair.client.recv(9) == b"down")


def refused(rig: Any, helpers: Any) -> bool:
    return bool(helpers.call(rig.link) == (b"", "rst"))


def unserved(rig: Any) -> socket.socket:
    """A client that has connected and is not served: the upstream does not hear of it."""
    client = rig.dial()
    client.sendall(b"late")
    assert rig.nothing(client)
    assert rig.nothing(rig.server)
    return client  # type: ignore[no-any-return]


class TestAttempts:
    def test_the_next_attempts_are_refused_and_then_it_is_healed(self, rig: Any, helpers: Any) -> None:
        active = rig.link.refuse(count=2)
        assert refused(rig, helpers)
        assert not active.healed
        assert refused(rig, helpers)
        assert active.healed
        assert active.met_traffic
        served(rig)
        assert rig.link.attempts_refused == 2

    def test_who_had_connected_before_is_none_of_them(self, rig: Any, helpers: Any) -> None:
        clients = [rig.dial() for _ in range(20)]
        rig.link.refuse(count=1)
        for client in clients:
            server = rig.answer()
            server.sendall(b"open")
            server.close()
            assert helpers.take_all(client) == (b"open", "fin")
        assert refused(rig, helpers)
        served(rig)

    def test_each_attempt_is_an_event_and_the_end_is_one(self, rig: Any, helpers: Any) -> None:
        rig.link.refuse(count=1)
        assert refused(rig, helpers)
        said = [(one.kind, one.connection, one.detail) for one in rig.link.events if one.fault is not None]
        assert said == [
            ("fault", None, ""),
            ("heal", None, "after 1 attempt"),
            ("rst", 1, ""),
            ("closed", 1, ""),
        ]

    def test_what_the_kernel_refuses_it_does_not_say(self, rig: Any) -> None:
        with rig.link.refuse():
            assert rig.refused()
        assert rig.link.attempts_refused == 0

    def test_two_counts_are_counted_side_by_side(self, rig: Any, helpers: Any) -> None:
        one, three = rig.link.refuse(count=1), rig.link.refuse(count=3)
        assert refused(rig, helpers)
        assert (one.healed, three.healed) == (True, False)
        assert refused(rig, helpers)
        assert refused(rig, helpers)
        assert three.healed
        served(rig)

    def test_on_a_unix_socket_it_is_closed(
        self, make_rig: Callable[..., Any], short_path: Any, helpers: Any
    ) -> None:
        rig = make_rig(listen=f"unix:{short_path}/refusing")
        rig.link.refuse(count=1)
        assert helpers.take_all(rig.dial()) == (b"", "fin")
        served(rig)


class TestConnections:
    def test_open_ones_with_other_numbers_live_on(self, rig: Any, helpers: Any) -> None:
        one, two, three = (served(rig) for _ in range(3))
        with rig.link.sever(connections=[1, 3]):
            for pair in (one, three):
                assert helpers.take_all(pair.client) == (b"", "fin")
            assert passes(two)
            served(rig)

    def test_new_ones_with_these_numbers_are_refused(self, rig: Any, helpers: Any) -> None:
        with rig.link.sever(connections=range(2, 4)) as active:
            one = served(rig)
            assert refused(rig, helpers)
            assert refused(rig, helpers)
            served(rig)
            assert passes(one)
            assert active.met_traffic

    def test_a_reset_of_one(self, rig: Any, helpers: Any) -> None:
        one, two = served(rig), served(rig)
        assert rig.link.reset(connections=1).met_traffic
        assert helpers.take_all(one.client) == (b"", "rst")
        assert passes(two)
        assert not rig.link.reset(connections=7).met_traffic

    def test_forgetting_one(self, rig: Any) -> None:
        one, two = served(rig), served(rig)
        rig.link.forget(connections=2)
        two.client.sendall(b"lost")
        assert rig.nothing(two.server)
        assert passes(one)
        assert [live.state for live in rig.link.connections] == ["open", "forgotten"]

    @pytest.mark.parametrize("packets", [False, True])
    def test_silence_for_one(self, rig: Any, packets: bool) -> None:
        one, two = served(rig), served(rig)
        with rig.link.blackhole(packets=packets, connections=1) as active:
            assert passes(two)
            assert not active.met_traffic
            one.client.sendall(b"held")
            assert rig.nothing(one.server)
            assert active.met_traffic
            assert passes(two)
        assert one.server.recv(9) == b"held"

    @pytest.mark.parametrize("kind", [Blackhole, StallAccept])
    def test_one_that_hangs_is_served_once_it_is_healed(self, rig: Any, kind: type[Fault]) -> None:
        active = rig.link.apply(kind(connections=1))
        client = unserved(rig)
        assert active.met_traffic
        served(rig)
        active.heal()
        assert rig.answer().recv(9) == b"late"
        client.close()

    def test_one_that_hangs_is_refused_where_that_holds_after_it(self, rig: Any, helpers: Any) -> None:
        rig.link.refuse(connections=1)
        stalled = rig.link.stall_accept(connections=1)
        client = unserved(rig)
        stalled.heal()
        assert helpers.take_all(client) == (b"", "rst")

    @pytest.mark.parametrize(("on_heal", "ends"), [("sever", "fin"), ("reset", "rst")])
    def test_the_end_of_a_silence_ends_those_that_it_held_for(
        self, rig: Any, helpers: Any, on_heal: Any, ends: str
    ) -> None:
        one, two = served(rig), served(rig)
        with rig.link.blackhole(on_heal=on_heal, connections=range(2, 4)):
            third = unserved(rig)
        assert helpers.take_all(two.client) == (b"", ends)
        assert helpers.take_all(third) == (b"", ends)
        assert passes(one)

    def test_a_client_that_hangs_and_gives_up_leaves_nothing(self, rig: Any, helpers: Any) -> None:
        with rig.link.stall_accept(connections=1):
            unserved(rig)
            rig.link.reset()
            assert rig.link.connections == []
        served(rig)

    def test_loss_for_one(self, rig: Any) -> None:
        one, two = served(rig), served(rig)
        with rig.link.lose(1, connections=1) as active:
            assert passes(two)
            assert not active.met_traffic
            one.client.sendall(b"resent")
            assert rig.nothing(one.server)
            assert active.met_traffic
        assert one.server.recv(9) == b"resent"

    def test_a_cut_of_several(self, rig: Any, helpers: Any) -> None:
        pairs = [served(rig) for _ in range(3)]
        with rig.link.cut(0, connections=(1, 3)):
            assert helpers.take_all(pairs[0].client) == (b"", "fin")
            assert helpers.take_all(pairs[2].client) == (b"", "fin")
            assert passes(pairs[1])


@dataclass(frozen=True, repr=False)
class Shout(CustomFault):
    def stage(self, place: Place) -> Stage:
        return Upper()


class Upper(Stage):
    def pull(self, now: float) -> Any:
        item = super().pull(now)
        return bytes(item).upper() if isinstance(item, (bytes, memoryview)) else item


def test_a_fault_of_somebody_s_own_has_the_same_limits(rig: Any) -> None:
    rig.link.apply(Shout(connections=2))
    one, two = rig.connect(), rig.connect()
    for pair, hears in ((one, b"quiet"), (two, b"QUIET")):
        pair.client.sendall(b"quiet")
        assert pair.server.recv(9) == hears


class TestShare:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_the_seed_and_the_number_choose(self, seed: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=seed) as net:
            link = net.forward(server.getsockname())
            link.refuse(share=0.4)
            for _ in range(20):
                with contextlib.suppress(ConnectionResetError):
                    socket.create_connection((link.host, link.port), timeout=20).close()
            link.wait_for_connection(20)
            chosen = [one.connection for one in link.events if one.kind == "rst" and one.fault is not None]
            assert chosen == [number for number in range(1, 21) if Limits(share=0.4).holds_for(number, seed)]
            assert link.attempts_refused == len(chosen)

    @settings(max_examples=25)
    @given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1))
    def test_the_chosen_of_a_smaller_share_are_among_those_of_a_larger(
        self, seed: int, one: float, other: float
    ) -> None:
        small, large = (
            {number for number in range(1, 200) if Limits(share=share).holds_for(number, seed)}
            for share in sorted((one, other))
        )
        assert small <= large

    def test_it_is_about_the_share(self) -> None:
        chosen = sum(Limits(share=0.3).holds_for(number, 5) for number in range(1, 10_001))
        assert 2800 < chosen < 3200

    @pytest.mark.parametrize(("share", "count"), [(0, 0), (1, 50)])
    def test_none_and_all(self, share: float, count: int) -> None:
        assert sum(Limits(share=share).holds_for(number, 5) for number in range(1, 51)) == count


class TestTime:
    @pytest.mark.parametrize(
        "fault",
        [
            Sever(seconds=0.05),
            Refuse(seconds=0.05),
            Blackhole(seconds=0.05),
            Delay(3600, heal_after=0.05),
            Throttle(0.1, seconds=0.05),
            Slice(1, gap=3600, seconds=0.05),
            Corrupt(1, seconds=0.05),
            Lose(1, seconds=0.05),
            Cut(0, seconds=0.05),
            StallAccept(seconds=0.05),
            StallAccept(seconds=0.05, connections=1),
            Shout(seconds=0.05),
        ],
        ids=repr,
    )
    def test_it_heals_itself(self, rig: Any, fault: Fault) -> None:
        active = rig.link.apply(fault)
        assert not active.healed
        rig.later(0.06)
        assert active.healed
        heal = rig.link.events[-1]
        assert (heal.kind, heal.fault, heal.detail) == ("heal", fault, "after 0.05 s")
        served(rig)

    def test_what_it_held_goes_on(self, rig: Any, pair: Any) -> None:
        rig.link.blackhole("up", seconds=0.05)
        pair.client.sendall(b"late")
        assert pair.server.recv(9) == b"late"

    def test_the_method_whose_own_argument_is_called_seconds_takes_the_limit_by_that_name_too(
        self, rig: Any
    ) -> None:
        assert rig.link.delay(1, seconds=5, share=0.5).fault == Delay(1, heal_after=5, share=0.5)
        assert rig.link.delay(seconds=1).fault == Delay(1)
        with pytest.raises(TypeError, match=r"seconds=5 and heal_after=6 both say when the delay ends"):
            rig.link.delay(1, seconds=5, heal_after=6)

    def test_healed_before_its_time_it_is_over_once(self, rig: Any) -> None:
        rig.link.delay(1, heal_after=0.02).heal()
        rig.later(0.03)
        assert [one.kind for one in rig.link.events].count("heal") == 1

    def test_the_end_of_the_link_is_not_held_up(self, rig: Any, net: NetFault) -> None:
        rig.link.sever(seconds=3600)
        rig.link.close()
        engine = rig.link._thread.engine()
        assert engine.call(engine._timers.next_at) == float("inf")


numbers = st.one_of(
    st.none(), st.integers(1, 5), st.builds(range, st.integers(1, 3), st.integers(4, 6)), st.just((1, 4))
)
limits = {"connections": numbers, "share": st.sampled_from([None, None, 0.5, 0.3])}
port_faults = st.one_of(
    st.builds(Refuse, count=st.sampled_from([None, 1, 2]), **limits),
    st.builds(Sever, **limits),
    st.builds(StallAccept, **limits),
    st.builds(Blackhole, **limits),
)


def some(fault: Fault) -> bool:
    return limits_of(fault).some


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(port_faults.filter(some), min_size=1, max_size=4), st.integers(0, 3), st.data())
def test_each_connection_meets_the_faults_that_hold_for_it(
    cut_net: NetFault, faults: list[Fault], heals: int, data: st.DataObject
) -> None:
    """Against a model: what holds for the number of each connection, and what is left once some are healed."""
    seed = cut_net.seed
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(20)
        link = cut_net.forward(server.getsockname())
        stack.callback(link.close)
        active: list[ActiveFault] = [link.apply(fault) for fault in faults]
        left = {one: limits_of(one.fault).attempts for one in active}
        waiting: dict[int, socket.socket] = {}

        def holding(number: int, listener: str) -> list[ActiveFault]:
            return [
                one
                for one in active
                if one.fault.traits.listener == listener
                and limits_of(one.fault).holds_for(number, seed)
                and left[one] != 0
            ]

        def look(number: int, client: socket.socket) -> None:
            if holding(number, "hang"):
                waiting[number] = client
                return
            waiting.pop(number, None)
            refusing = holding(number, "refuse")
            for one in refusing:
                left[one] = None if left[one] is None else left[one] - 1  # type: ignore[operator]
            if refusing:
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    client.sendall(b"x")
                    assert client.recv(1) == b"never", "it was refused"
                return
            upstream = stack.enter_context(server.accept()[0])
            upstream.settimeout(20)
            client.sendall(b"x")
            assert upstream.recv(1) == b"x"
            upstream.sendall(b"y")
            assert client.recv(1) == b"y"

        for number in range(1, 7):
            client = stack.enter_context(socket.socket())
            client.settimeout(20)
            with contextlib.suppress(ConnectionResetError):  # the kernel says so now, or at the first write
                client.connect((link.host, link.port))
            look(number, client)
        for _ in range(heals):
            if not active:
                break
            one = data.draw(st.sampled_from(active))
            active.remove(one)
            one.heal()
            for number, client in list(waiting.items()):
                look(number, client)
        assert len(waiting) == sum(live.state == "connecting" for live in link.connections)
        assert select.select([server], [], [], 0)[0] == [], "somebody was served who should have hung"
        assert link.attempts_refused == sum(
            event.kind == "rst" and event.fault is not None for event in link.events
        )


BAD: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda link: link.sever(seconds=0), ValueError, "seconds must be more than 0, not 0"),
    (lambda link: link.sever(seconds=True), TypeError, "seconds must be a number, not True"),
    (lambda link: link.sever(seconds=float("nan")), ValueError, "seconds must be a finite number, not nan"),
    (lambda link: link.sever(seconds=1e9), ValueError, "seconds must be at most 86400, not 1000000000.0"),
    (lambda link: link.delay(1, heal_after=-1), ValueError, "heal_after must be at least 0, not -1"),
    (lambda link: link.refuse(count=0), ValueError, "count must be at least 1"),
    (lambda link: link.refuse(count=1.5), TypeError, "count must be a whole number, not 1.5"),
    (lambda link: link.refuse(connections=0), ValueError, "connections must be at least 1"),
    (lambda link: link.refuse(connections=True), TypeError, "connections must be a connection's number"),
    (lambda link: link.refuse(connections="1"), TypeError, "or several of them, not '1'"),
    (lambda link: link.refuse(connections=[]), ValueError, r"not \[\], which names none"),
    (lambda link: link.refuse(connections=range(3)), ValueError, "connections must be at least 1"),
    (lambda link: link.refuse(connections=[1, "2"]), TypeError, "'2' is no such number"),
    (lambda link: link.refuse(connections=range(1, 9999, 2)), ValueError, "at most 1000 numbers"),
    (lambda link: link.refuse(share=1.1), ValueError, "share must be at most 1, not 1.1"),
    (lambda link: link.refuse(share="half"), TypeError, "share must be a number, not 'half'"),
    (lambda link: link.reset(seconds=1), ValueError, "Reset is over as soon as it is applied, so seconds=1"),
    (lambda link: link.forget(seconds=1), ValueError, "Forget is over as soon as it is applied"),
    (lambda link: link.cut(1, connection=1, connections=2), ValueError, "both say which connections are cut"),
    (lambda link: link.apply(Shout(share=2)), ValueError, "share must be at most 1"),
]


@pytest.mark.parametrize(("call", "kind", "says"), BAD)
def test_a_bad_limit_is_one_sentence_at_the_call(
    rig: Any, call: Any, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        call(rig.link)
    assert "\n" not in str(caught.value)
    assert [event.kind for event in rig.link.events] == []


EACH: list[Fault] = [
    Sever(connections=1), Reset(connections=1), Refuse(connections=1), Blackhole(connections=1),
    Delay(0, connections=1), Throttle(1e9, connections=1), Slice(9, connections=1), Corrupt(0, connections=1),
    Lose(0, connections=1), Cut(9, connections=1), StallAccept(connections=1), Forget(connections=1),
]  # fmt: skip


@pytest.mark.parametrize("fault", EACH, ids=repr)
def test_each_fault_leaves_the_others_alone(rig: Any, fault: Fault) -> None:
    _one, two = served(rig), served(rig)
    with rig.link.apply(fault):
        assert passes(two)
        assert passes(served(rig))
    assert passes(two)
