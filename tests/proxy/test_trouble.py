"""When something is wrong inside or around the proxy: it says so, to whoever asks, and never hangs or spins."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_netfault.control import NetFault, NetFaultClosed
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Forget,
    Lose,
    Refuse,
    Slice,
    StallAccept,
    Throttle,
)
from pytest_netfault.proxy import CustomFault, Place, Stage
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.engine import Engine
from pytest_netfault.proxy.pipe import Pipe


class Boom(Exception):
    """What the tests make the proxy raise."""


class TestCrash:
    @pytest.fixture
    def explode(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[NetFault, str], None]:
        """Let a net's proxy raise when it is to read; other proxies of this process go on."""

        def explode(net: NetFault, words: str) -> None:
            engine, real = net._thread.engine(), Pipe.readable

            def boom(pipe: Pipe) -> None:
                if pipe.connection.engine is not engine:
                    real(pipe)
                    return
                raise Boom(words)

            monkeypatch.setattr(Pipe, "readable", boom)

        return explode

    @pytest.fixture
    def crashed(self, explode: Callable[[NetFault, str], None]) -> Iterator[tuple[NetFault, Any]]:
        """A net whose proxy has raised while it moved bytes, and its link."""
        net = NetFault()
        with socket.create_server(("127.0.0.1", 0)) as server:
            link = net.forward(server.getsockname())
            explode(net, "inside the proxy")
            with socket.create_connection((link.host, link.port), timeout=20) as client:
                client.sendall(b"x")
                with contextlib.suppress(ConnectionResetError):
                    assert client.recv(1) == b""  # its sockets are closed, all the same
                yield net, link
        with contextlib.suppress(RuntimeError):
            net.close()

    def test_every_later_call_fails_with_the_cause(self, crashed: Any) -> None:
        net, link = crashed
        for call in (
            link.sever,
            link.heal,
            lambda: link.connections,
            lambda: net.forward(9),
            link.wait_for_connection,
            net.heal,
        ):
            with pytest.raises(
                RuntimeError, match=r"the proxy has crashed: Boom\('inside the proxy'\)"
            ) as caught:
                call()
            assert isinstance(caught.value.__cause__, Boom)
            assert not isinstance(caught.value, NetFaultClosed)

    def test_closing_raises_it_and_closes_everything(self, crashed: Any) -> None:
        net, link = crashed
        with pytest.raises(RuntimeError, match="crashed") as caught:
            net.close()
        assert isinstance(caught.value.__cause__, Boom)
        net.close()
        assert not net._thread._life.thread.is_alive()
        with socket.create_server((link.host, link.port)):
            pass

    def test_who_waits_is_told(self, explode: Callable[[NetFault, str], None], helpers: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
            net = NetFault()
            link = net.forward(server.getsockname())
            client = stack.enter_context(socket.create_connection((link.host, link.port), timeout=20))
            link.wait_for_connection()
            errors: list[BaseException] = []

            def wait() -> None:
                try:
                    link.wait_for_bytes(1, timeout=20)
                except BaseException as error:  # noqa: BLE001, RUF100
                    errors.append(error)

            waiting = helpers.in_thread(stack, wait)
            while not link._link.waiters:
                pass

            explode(net, "meanwhile")
            client.sendall(b"x")
            waiting.join(20)
            assert [type(error) for error in errors] == [RuntimeError]
            assert isinstance(errors[0].__cause__, Boom)
            with pytest.raises(RuntimeError, match="crashed"):
                net.close()

    def test_one_link_that_cannot_be_closed_does_not_keep_the_others_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net = NetFault()
        links = [net.forward(9) for _ in range(3)]
        real = Connection.close

        def boom() -> None:
            real_close()
            raise Boom("cannot close")

        real_close = links[1]._link.listener.close
        monkeypatch.setattr(links[1]._link.listener, "close", boom)
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        net._thread.close()
        for link in links:
            with socket.create_server((link.host, link.port)):
                pass
        assert real is Connection.close
        net.close()

    def test_a_thread_that_cannot_start_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import trio

        def cannot(*_: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(trio, "run", cannot)
        net = NetFault()
        with pytest.raises(RuntimeError, match=r"crashed: OSError.*Too many open files"):
            net.forward(9)
        with pytest.raises(RuntimeError, match="crashed"):
            net.close()

    def test_an_error_of_one_call_is_that_calls_alone(self, rig: Any) -> None:
        def fails() -> None:
            raise Boom("mine")

        with pytest.raises(Boom, match="mine"):
            rig.net._thread.call(fails)
        rig.connect()

    def test_calls_that_wait_when_the_engine_ends_are_answered(self, helpers: Any) -> None:
        for _ in range(20):
            net = NetFault()
            link = net.forward(9)
            outcomes: list[str] = []

            def ask(link: Any = link, outcomes: list[str] = outcomes) -> None:
                try:
                    while True:
                        link.apply(Delay(1)).heal()
                except NetFaultClosed:
                    outcomes.append("closed")

            with contextlib.ExitStack() as stack:
                for _ in range(3):
                    helpers.in_thread(stack, ask)
                link.refuse().heal()
                net.close()
            assert outcomes == ["closed"] * 3


class TestCustomFaultsThatFail:
    def test_one_that_says_nothing_is_refused_at_the_call(self, rig: Any, pair: Any) -> None:
        class Empty(CustomFault):
            pass

        with pytest.raises(TypeError, match=r"Empty must say in stage\(place\) what it does"):
            rig.link.apply(Empty())
        rig.connect()

    def test_one_that_fails_at_the_call_leaves_nothing_behind(self, rig: Any, pair: Any) -> None:
        import dataclasses

        @dataclasses.dataclass(frozen=True, repr=False)
        class Bad(CustomFault):
            def stage(self, place: Place) -> Stage:
                if place.direction == "down":
                    raise Boom("no stage")
                return Stage()

        with pytest.raises(Boom, match="no stage"):
            rig.link.apply(Bad())
        rig.connect()
        pair.client.sendall(b"fine")
        assert pair.server.recv(9) == b"fine"

    @pytest.mark.parametrize("value", [None, 1, "sever", Fault(), Exception, Delay], ids=repr)
    def test_what_is_no_fault_is_refused_at_the_call(self, rig: Any, value: Any) -> None:
        with pytest.raises(TypeError, match="apply takes a fault such as"):
            rig.link.apply(value)
        rig.connect()


class TestOutOfDescriptors:
    @pytest.fixture
    def descriptors(self) -> Iterator[Any]:
        """Takes every descriptor but a few; gives all of them back at the end."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fillers: list[int] = []

        def give_back() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            while fillers:
                os.close(fillers.pop())

        def leave(free: int) -> Any:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            with contextlib.suppress(OSError):
                while True:
                    fillers.append(os.dup(0))
            for _ in range(free):
                os.close(fillers.pop())
            return give_back

        yield leave
        give_back()

    def test_accepting_goes_on_when_there_are_some_again(self, rig: Any, descriptors: Any) -> None:
        rig.connect()
        client = rig._own(socket.socket())
        give_back = descriptors(0)
        client.connect((rig.link.host, rig.link.port))
        client.sendall(b"patient")
        while not any(event.kind == "trouble" for event in rig.link.events):
            pass
        assert len(rig.link.connections) == 1
        give_back()
        assert rig.answer().recv(9) == b"patient"
        assert "cannot accept a connection: Too many open files" in [
            event.detail for event in rig.link.events
        ]

    def test_faults_hold_all_the_same(self, rig: Any, pair: Any, helpers: Any, descriptors: Any) -> None:
        descriptors(0)
        rig.link.sever()
        assert helpers.take_all(pair.client) == (b"", "fin")
        rig.link.heal()

    def test_without_one_for_the_upstream_the_client_is_reset(self, rig: Any, descriptors: Any) -> None:
        rig.connect()
        client = rig._own(socket.socket())
        give_back = descriptors(1)

        def call() -> None:
            client.connect((rig.link.host, rig.link.port))
            client.recv(1)

        with pytest.raises(ConnectionResetError):
            call()
        give_back()
        assert "Too many open files" in next(
            event.detail for event in rig.link.events if event.kind == "upstream_failed"
        )
        rig.connect()


def turns(engine: Engine, seconds: float = 0.2) -> int:
    """How often the engine's loop turns while nothing happens for this long."""
    counted = 0
    real = engine._turn

    def turn() -> bool:
        nonlocal counted
        counted += 1
        return real()

    engine.call(lambda: setattr(engine, "_turn", turn))
    done = threading.Event()
    engine.call(lambda: engine.call_at(engine.now() + seconds, done.set))
    assert done.wait(20)
    engine.call(lambda: delattr(engine, "_turn"))
    return counted


FAULTS: list[Fault | None] = [
    None, Refuse(), StallAccept(), Blackhole(), Blackhole("up"), Blackhole("down"), Blackhole(packets=True),
    Delay(3600), Throttle(0.001), Slice(1), Slice(1, gap=3600), Corrupt(0.5), Lose(0.5), Cut(0, how="blackhole"),
    Cut(10**9), Forget(), Forget(packets=True),
]  # fmt: skip


def half_closed(rig: Any, _helpers: Any) -> None:
    rig.pairs[0].client.shutdown(socket.SHUT_WR)
    rig.pairs[1].server.shutdown(socket.SHUT_WR)


def both_closed(rig: Any, _helpers: Any) -> None:
    for sock in (rig.pairs[0].client, rig.pairs[0].server):
        sock.shutdown(socket.SHUT_WR)


def was_reset(rig: Any, helpers: Any) -> None:
    helpers.hang_up(rig.pairs[0].client)
    helpers.hang_up(rig.pairs[1].server)


def half_closed_and_reset(rig: Any, helpers: Any) -> None:
    half_closed(rig, helpers)
    rig.fence()
    was_reset(rig, helpers)


def stalled(rig: Any, _helpers: Any) -> None:
    rig.fill(rig.pairs[0].client)
    rig.fill(rig.pairs[1].server)


def unread_and_reset(rig: Any, helpers: Any) -> None:
    for pair in rig.pairs:
        pair.client.sendall(b"x" * 1000)
        pair.server.sendall(b"x" * 1000)
    rig.fence()
    was_reset(rig, helpers)


SITUATIONS = [half_closed, both_closed, was_reset, half_closed_and_reset, stalled, unread_and_reset]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_nothing_spins(make_rig: Any, helpers: Any, fault: Fault | None) -> None:
    """Once all has happened the loop turns a few times for what it polls, and not thousands of times."""
    for what in SITUATIONS:
        rig = make_rig(name=what.__name__)
        rig.pairs = [rig.connect() for _ in range(2)]
        rig.fence()
        if fault is not None:
            rig.link.apply(fault)
        what(rig, helpers)
        rig.fence()
    assert turns(rig.link._link.engine) < 300


def test_late_alarms_are_taken_calmly(rig: Any, pair: Any) -> None:
    """A handler may be called for what was meant for a socket that had this number before."""
    link = rig.link._link
    engine = link.engine
    everything = select.EPOLLIN | select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP

    def alarm() -> None:
        for handler in list(engine._handlers.values()):
            for mask in (select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP, everything):
                handler(mask)

    for fault in (None, Blackhole(), StallAccept(), Delay(1)):
        with rig.link.apply(fault) if fault else contextlib.nullcontext():
            engine.call(alarm)
    pair.client.sendall(b"calm")
    assert pair.server.recv(9) == b"calm"
    pair.server.sendall(b"calm")
    assert pair.client.recv(9) == b"calm"


@pytest.mark.linux("connect() itself hangs only with a socket filter")
def test_an_alarm_while_still_connecting_is_no_answer(net: NetFault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = net.forward(server.getsockname(), name="silent")
        with silent.blackhole():
            link = net.forward(silent.address)
            with socket.create_connection((link.host, link.port), timeout=20):
                link.wait_for_connection()
                end = link._link.connections.live[1].upstream
                assert end is not None
                link._link.engine.call(lambda: end.on_ready(select.EPOLLOUT | select.EPOLLERR))
                assert [one.state for one in link.connections] == ["connecting"]


def test_a_burst_of_calls_from_many_threads(rig: Any, helpers: Any) -> None:
    """Ten threads at once, each fault taken back by its own."""
    pair = rig.connect()
    with contextlib.ExitStack() as stack:

        def work() -> None:
            for _ in range(50):
                with rig.link.delay(0), rig.link.slice(1000):
                    assert rig.link.connections

        threads = [helpers.in_thread(stack, work) for _ in range(10)]
        for _ in range(50):
            pair.client.sendall(b"x" * 5000)
            helpers.take(pair.server, 5000)
        for thread in threads:
            thread.join(20)
    assert not rig.link._link.faults.active
