"""The blocking face: what a link shows, waits that say what was seen, arguments refused at the call, and the end."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_netfault.control import Link, NetFault, NetFaultClosed
from pytest_netfault.events import describe
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Forget,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)
from pytest_netfault.proxy import Added, CustomFault, Place, Stage
from pytest_netfault.proxy.observation import EVENTS_KEPT

FAULTS: list[Fault] = [
    Sever(),
    Reset(),
    Refuse(),
    Blackhole(),
    Blackhole(packets=True),
    Delay(1),
    Throttle(1),
    Slice(1),
    Corrupt(1),
    Lose(1),
    Cut(1),
    StallAccept(),
    Forget(),
    Forget(packets=True),
]


@dataclass
class Served:
    net: NetFault
    link: Link
    client: socket.socket
    upstream: socket.socket


@pytest.fixture
def served() -> Iterator[Served]:
    """A link with one open connection, of which five bytes went up and three came down."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        net = stack.enter_context(NetFault(seed=5))
        link = net.forward(server.getsockname(), name="served")
        client = stack.enter_context(socket.create_connection((link.host, link.port), timeout=20))
        upstream = stack.enter_context(server.accept()[0])
        upstream.settimeout(20)
        client.sendall(b"12345")
        assert upstream.recv(5) == b"12345"
        upstream.sendall(b"123")
        assert client.recv(3) == b"123"
        yield Served(net, link, client, upstream)


class TestSeeing:
    def test_live_connections_and_their_counts(self, served: Served) -> None:
        (one,) = served.link.connections
        assert (one.number, one.state, one.bytes_up, one.bytes_down) == (1, "open", 5, 3)
        assert one.client == f"127.0.0.1:{served.client.getsockname()[1]}"
        assert one.upstream == served.link.upstream == f"127.0.0.1:{served.upstream.getsockname()[1]}"
        assert (served.link.bytes_up, served.link.bytes_down) == (5, 3)

    def test_a_half_closed_connection_says_so_and_an_ended_one_is_gone(self, served: Served) -> None:
        served.client.shutdown(socket.SHUT_WR)
        assert served.upstream.recv(1) == b""
        assert [one.state for one in served.link.connections] == ["half-closed"]
        served.upstream.close()
        assert served.client.recv(1) == b""
        served.link.wait_for_connection(0)
        assert served.link.connections == []
        assert (served.link.bytes_up, served.link.bytes_down) == (5, 3), (
            "bytes of ended connections still count"
        )

    def test_a_black_hole_counts_what_was_delivered_and_not_what_it_holds(self, served: Served) -> None:
        with served.link.blackhole():
            served.client.sendall(b"held")
            assert served.link.bytes_up == 5
        served.link.wait_for_bytes(9)
        assert served.upstream.recv(9) == b"held"

    def test_events_tell_the_story_in_order_on_one_clock(self, served: Served) -> None:
        with served.link.delay(0):
            served.client.sendall(b"678")
            assert served.upstream.recv(3) == b"678"
        served.client.close()
        assert served.upstream.recv(1) == b""
        served.upstream.close()
        served.link.wait_for_connection(0)
        while served.link.connections:
            pass
        story = [
            (event.kind, event.connection, event.by, event.bytes_up, event.bytes_down)
            for event in served.link.events
        ]
        assert story == [
            ("accepted", 1, "client", 0, 0),
            ("connected", 1, "netfault", 0, 0),
            ("fault", None, "netfault", 0, 0),
            ("hit", 1, "netfault", 5, 3),
            ("heal", None, "netfault", 0, 0),
            ("fin", 1, "client", 8, 3),
            ("fin", 1, "upstream", 8, 3),
            ("closed", 1, "client", 8, 3),
        ]
        assert [event.time for event in served.link.events] == sorted(
            event.time for event in served.link.events
        )
        assert {event.link for event in served.link.events} == {"served"}
        assert served.link.events[2].fault == served.link.events[4].fault == Delay(0)
        assert [event.met for event in served.link.events if event.kind == "heal"] == [True]

    @pytest.mark.slow
    def test_events_are_bounded_and_the_last_are_kept(self, served: Served) -> None:
        for _ in range(EVENTS_KEPT // 2 + 100):
            served.link.refuse().heal()
        assert len(served.link.events) == EVENTS_KEPT
        assert served.link.events[-1].kind == "heal"

    def test_what_was_seen_stays_visible_after_the_end(self, served: Served) -> None:
        events = served.link.events
        served.net.close()
        assert served.link.events[: len(events)] == events
        assert served.link.connections == []
        assert (served.link.bytes_up, served.link.bytes_down) == (5, 3)
        assert repr(served.link).startswith("<Link served: 127.0.0.1:")

    def test_whether_a_fault_met_traffic(self, served: Served) -> None:
        with (
            served.link.delay(0) as delay,
            served.link.lose(0.0) as loss,
            served.link.blackhole("down") as hole,
        ):
            assert not delay.met_traffic
            assert not loss.met_traffic
            assert not hole.met_traffic
            served.client.sendall(b"x")
            assert served.upstream.recv(1) == b"x"
            assert delay.met_traffic
            assert loss.met_traffic
            assert not hole.met_traffic
            served.upstream.shutdown(socket.SHUT_WR)
            while not hole.met_traffic:  # until the kernel has brought the FIN
                pass
        assert delay.met_traffic
        assert hole.met_traffic
        assert served.link.sever().met_traffic

    def test_reprs_say_what_they_are(self, served: Served) -> None:
        fault = served.link.delay(1)
        assert repr(fault) == "<Delay(1) on served, in force>"
        fault.heal()
        assert repr(fault) == "<Delay(1) on served, healed>"
        assert repr(served.net) == "<NetFault seed=5>"


class TestWaiting:
    def test_for_connections_and_bytes(self, served: Served) -> None:
        served.link.wait_for_connection()
        served.link.wait_for_connection(1)
        served.link.wait_for_bytes(5)
        served.link.wait_for_bytes(3, "down")
        served.link.wait_for_bytes(8, "both")

    def test_from_another_thread_until_it_happens(self, served: Served) -> None:
        done = []

        def wait() -> None:
            served.link.wait_for_bytes(7, timeout=20)
            done.append(True)

        thread = threading.Thread(target=wait)
        thread.start()
        served.client.sendall(b"6")
        assert served.upstream.recv(1) == b"6"
        assert not done
        served.client.sendall(b"7")
        thread.join(20)
        assert done

    def test_that_ends_without_it_says_what_was_seen(self, served: Served) -> None:
        with pytest.raises(
            TimeoutError,
            match=r"^waited 0 s for 6 bytes up on link served, but saw 1 connection, 5 bytes up and 3 bytes down; "
            r"live: #1 open \(up 5 B, down 3 B\)$",
        ):
            served.link.wait_for_bytes(6, timeout=0)
        with pytest.raises(
            TimeoutError, match="for 9 bytes both ways on link served, but saw 1 connection, "
        ):
            served.link.wait_for_bytes(9, "both", timeout=0)
        with pytest.raises(TimeoutError, match="for 2 connections on link served, but saw 1 connection, "):
            served.link.wait_for_connection(2, timeout=0.01)
        assert served.link._link.waiters._waiters == []

    def test_that_the_end_interrupts(self, served: Served) -> None:
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                served.link.wait_for_bytes(10**6, timeout=20)
            except NetFaultClosed as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        while not served.link._link.waiters:
            pass
        served.link.close()
        thread.join(20)
        assert "was closed while waiting for 1,000,000 bytes up" in str(errors[0])

    def test_on_a_closed_link_ends_at_once(self, served: Served) -> None:
        served.link.close()
        served.link.wait_for_bytes(5)  # that has happened
        with pytest.raises(NetFaultClosed, match="link served was closed"):
            served.link.wait_for_bytes(6, timeout=600)

    @pytest.mark.parametrize(
        "value",
        [math.nan, math.inf, -1, -math.inf, 1e300, True, "1", None, pytest.param(10**5000, id="huge")],
    )
    def test_for_a_time_that_is_none_is_refused(self, served: Served, value: Any) -> None:
        for wait in (served.link.wait_for_connection, served.link.wait_for_bytes):
            with pytest.raises((TypeError, ValueError), match=r"^timeout must be "):
                wait(1, timeout=value)

    @pytest.mark.parametrize("value", [-1, 1.0, math.nan, True, "1", None])
    def test_for_a_count_that_is_none_is_refused(self, served: Served, value: Any) -> None:
        for wait in (served.link.wait_for_connection, served.link.wait_for_bytes):
            with pytest.raises((TypeError, ValueError), match=r"^count must be "):
                wait(value)

    @pytest.mark.parametrize("value", ["UP", "", None, 1])
    def test_in_no_direction_is_refused(self, served: Served, value: Any) -> None:
        with pytest.raises(ValueError, match=r"^direction must be 'up', 'down' or 'both', not "):
            served.link.wait_for_bytes(1, value)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.text(max_size=5),
    st.binary(max_size=5), st.just([]), st.just(object()), st.complex_numbers(),
    st.sampled_from(["up", "down", "both"]),
)  # fmt: skip


def applied(link: Link) -> int:
    return sum(event.kind == "fault" for event in link.events)


class TestBadArguments:
    """Whatever is passed to whichever method: it is taken, or refused at the call by a TypeError or ValueError."""

    @pytest.mark.slow
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_of_every_fault_method(self, served: Served, data: st.DataObject) -> None:
        link = served.link
        method, positional, named = data.draw(
            st.sampled_from(
                [
                    (link.blackhole, 1, ("packets", "on_heal")),
                    (link.delay, 1, ("jitter", "direction")),
                    (link.throttle, 2, ()),
                    (link.slice, 1, ("gap", "direction")),
                    (link.corrupt, 2, ()),
                    (link.lose, 2, ()),
                    (link.cut, 1, ("direction", "connection", "how")),
                ]
            )
        )
        arguments = [data.draw(anything) for _ in range(data.draw(st.integers(1, positional)))]
        more = (
            {name: data.draw(anything) for name in data.draw(st.lists(st.sampled_from(named), unique=True))}
            if named
            else {}
        )
        before = applied(link)
        try:
            active = method(*arguments, **more)  # type: ignore[operator]
        except (TypeError, ValueError) as error:
            said = str(error)
            assert applied(link) == before
        else:
            said = " must be"
            active.heal()
        assert " must be" in said
        link.refuse().heal()

    @pytest.mark.parametrize("seed", [True, 1.0, "1", b"1", math.nan])
    def test_of_a_net(self, seed: Any) -> None:
        with pytest.raises(TypeError, match=r"^seed must be a whole number or None, not "):
            NetFault(seed=seed)

    def test_of_forward(self, served: Served) -> None:
        with pytest.raises(TypeError, match=r"^upstream must be"):
            served.net.forward(None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^upstream: the port"):
            served.net.forward(0)
        with pytest.raises(ValueError, match=r"^listen must be"):
            served.net.forward(80, listen="here")
        with pytest.raises(TypeError, match=r"^name must be a string"):
            served.net.forward(80, name=1)  # type: ignore[arg-type]
        assert len(served.net.links) == 1


class TestTheEnd:
    def test_after_close_faults_and_forward_raise_and_healing_does_nothing(self, served: Served) -> None:
        fault = served.link.delay(1)
        served.net.close()
        served.net.close()
        fault.heal()
        fault.heal()
        served.link.heal()
        served.net.heal()
        served.link.close()
        assert fault.healed
        for call in (
            served.link.sever,
            served.link.reset,
            lambda: served.link.delay(1),
            lambda: served.net.forward(80),
        ):
            with pytest.raises(NetFaultClosed, match="closed"):
                call()
        with pytest.raises(NetFaultClosed, match="closed"), served.net:
            pass
        assert issubclass(NetFaultClosed, RuntimeError)

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda one: type(one).__name__)
    def test_healing_does_nothing_after_the_close_of_a_link_while_its_thread_goes_on(
        self, served: Served, fault: Fault
    ) -> None:
        link = served.net.forward(served.link.upstream)
        active = link.apply(fault)
        link.close()
        active.heal()
        link.heal()
        served.net.heal()
        assert active.healed
        assert link.connections == []
        for wait in (link.wait_for_connection, lambda: link.wait_for_bytes(1)):
            with pytest.raises(NetFaultClosed, match=f"link {link.name} was closed"):
                wait()

    def test_of_one_link_leaves_the_others(self, served: Served) -> None:
        other = served.net.forward(served.link.upstream)
        with other.delay(1) as fault:
            other.close()
            assert fault.healed
        with pytest.raises(NetFaultClosed, match=f"link {other.name} was closed"):
            other.sever()
        served.client.sendall(b"x")
        assert served.upstream.recv(1) == b"x"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other.host, other.port))

    def test_with_faults_in_force_and_connections_open(self, served: Served) -> None:
        served.link.blackhole()
        served.client.sendall(b"held")
        served.net.close()
        with contextlib.suppress(ConnectionResetError):
            assert served.client.recv(1) == b""

    def test_goes_on_after_ctrl_c_in_the_middle_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        net = NetFault()
        links = [net.forward(80) for _ in range(3)]
        thread = net._thread._life.thread
        assert thread is not None
        assert thread.is_alive()

        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(links[1], "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            net.close()
        assert not thread.is_alive()
        for link in links:
            with socket.create_server((link.host, link.port)):
                pass

    def test_of_a_thread_that_does_not_end_says_where_it_stands(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pytest_netfault.proxy.thread._JOIN_SECONDS", 0.01)
        net = NetFault()
        engine = net.forward(80)._link.engine
        entered, release = threading.Event(), threading.Event()

        def stands_here() -> None:
            entered.set()
            release.wait(20)

        caller = threading.Thread(target=lambda: engine.call(stands_here))
        caller.start()
        assert entered.wait(20)
        with pytest.raises(RuntimeError, match=r"did not end within 0.01 s; it is at\n(.|\n)*stands_here"):
            net._thread.close()
        release.set()
        caller.join(20)
        assert net._thread._life.thread is not None
        net._thread._life.thread.join(20)
        net.close()

    def test_a_new_thread_with_the_number_of_the_ended_one_is_no_proxy(self) -> None:
        """Thread numbers are given again; a call from such a thread must not run as if on the proxy's thread."""
        net = NetFault()
        link = net.forward(80)
        engine = link._link.engine
        number = engine.call(threading.get_ident)
        assert engine.thread_id == number
        net.close()
        assert engine.thread_id is None


def test_two_faults_of_a_kind_never_undo_each_other(served: Served) -> None:
    """Twice the same damage would be none; also when an earlier one was healed in between."""
    first = served.link.corrupt(1.0, "up")
    second = served.link.corrupt(1.0, "up")
    first.heal()
    third = served.link.corrupt(1.0, "up")
    served.client.sendall(bytes(1000))
    got = b""
    while len(got) < 1000:
        got += served.upstream.recv(1000)
    assert got.count(0) < 100
    second.heal()
    third.heal()


def test_a_fault_of_your_own_works_like_the_others(served: Served) -> None:
    class Upper(Stage):
        def pull(self, now: float) -> Any:
            item = super().pull(now)
            return bytes(item).upper() if isinstance(item, (bytes, memoryview)) else item

    @dataclass(frozen=True, repr=False)
    class Shout(CustomFault):
        direction: Any = "both"

        def stage(self, place: Place) -> Stage:
            return Upper()

    with served.link.apply(Shout("up")) as fault, served.link.slice(2):
        served.client.sendall(b"abc")
        got = b""
        while len(got) < 3:
            got += served.upstream.recv(9)
        assert got == b"ABC"
        served.upstream.sendall(b"quiet")
        got = b""
        while len(got) < 5:
            got += served.client.recv(9)
        assert got == b"quiet"
        assert fault.met_traffic
        assert repr(fault) == "<Shout(direction='up') on served, in force>"
    served.client.sendall(b"abc")
    assert served.upstream.recv(9) == b"abc"


def test_bytes_that_a_fault_adds_are_delivered_but_not_counted(served: Served) -> None:
    class Greeting(Stage):
        def push(self, now: float, item: Any) -> None:
            super().push(now, Added(b"hello "))
            super().push(now, item)

    @dataclass(frozen=True, repr=False)
    class Greet(CustomFault):
        def stage(self, place: Place) -> Stage:
            return Greeting()

    with served.link.apply(Greet()), served.link.cut(8, direction="up"):
        served.client.sendall(b"world")
        assert _everything(served.upstream) == b"hello wor"
    assert served.link.bytes_up == 8


def _everything(sock: socket.socket) -> bytes:
    got = b""
    while part := sock.recv(65536):
        got += part
    return got


def test_every_method_is_one_line_over_apply() -> None:
    """Each fault class has its method, with the same arguments and defaults in the same order."""
    import inspect

    from pytest_netfault import faults

    for kind in faults.FAULTS:
        name = "stall_accept" if kind is faults.StallAccept else kind.__name__.lower()
        method = inspect.signature(getattr(Link, name)).parameters
        made = inspect.signature(kind).parameters
        assert list(method)[1:] == list(made)
        for argument in made:
            assert method[argument].default == made[argument].default


class TestNotes:
    def test_a_note_is_on_the_timeline_of_every_link_that_is_open(self, served: Served) -> None:
        other = served.net.forward(80)
        with served.net.forward(81) as closed:
            pass
        served.net.note("the leader moves")
        for link in (served.link, other):
            (note,) = (event for event in link.events if event.kind == "note")
            assert (note.detail, note.by) == ("the leader moves", "netfault")
            assert re.fullmatch(r"tests/control/test_control.py:\d+", note.source)
        assert [event.kind for event in closed.events] == []

    def test_what_is_no_text_and_what_comes_too_late(self) -> None:
        net = NetFault()
        net.note("without links nobody sees it")
        with pytest.raises(TypeError, match=r"^text must be a string, not 5"):
            net.note(5)  # type: ignore[arg-type]
        net.close()
        with pytest.raises(NetFaultClosed):
            net.note("late")


class TestSource:
    @pytest.mark.parametrize("call", [lambda link: link.delay(0), lambda link: link.apply(Sever())])
    def test_each_event_of_a_fault_names_the_line_that_applied_it(self, served: Served, call: Any) -> None:
        with call(served.link):
            pass
        events = [event for event in served.link.events if event.fault is not None]
        assert {event.kind for event in events} >= {"fault", "heal"}
        line = call.__code__.co_firstlineno
        assert {event.source for event in events} == {f"tests/control/test_control.py:{line}"}

    def test_the_line_is_in_the_log_of_a_failure(self, served: Served) -> None:
        with served.link.sever():
            pass
        described = [describe(event) for event in served.link.events if event.kind == "fault"]
        assert re.search(r"fault Sever\(\) \(tests/control/test_control.py:\d+\)$", described[0])


def test_a_link_is_closed_at_the_end_of_its_block(served: Served) -> None:
    with served.net.forward(80) as link:
        assert link in served.net.links
    with pytest.raises(NetFaultClosed), link:
        pass
    with socket.create_server((link.host, link.port)):
        pass
