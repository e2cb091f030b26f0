"""Links may be used by a signal handler, and by a ``__del__`` of the garbage collector, in the middle of a call."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.faults import Delay
from pytest_netfault.proxy import CustomFault, Place, Stage
from pytest_netfault.proxy.calls import CallQueue, Moment

STRESS = """
import faulthandler, gc, signal, socket, sys, time
from pytest_netfault.control import NetFault
from pytest_netfault.faults import Delay

faulthandler.dump_traceback_later(60, exit=True)
seconds = float(sys.argv[1])
server = socket.create_server(("127.0.0.1", 0), backlog=100)
net = NetFault(seed=1)
link = net.forward(server.getsockname())
client = socket.create_connection((link.host, link.port))
upstream, _ = server.accept()
handled = 0

class Trash:
    def __init__(self):
        self.me = self
    def __del__(self):
        link.connections
        with link.apply(Delay(0.001, direction="down")):
            pass

depth = 0

def handle(*_):
    global handled, depth
    if depth == 5:  # on a busy machine one handler takes longer than it is to the next signal
        return
    depth += 1
    try:
        handled += 1
        with link.delay(0):
            link.connections
        link.wait_for_connection(timeout=20)
        if handled % 20 == 0:
            with net.forward(server.getsockname()).refuse():
                net.links[-1].close()
    finally:
        depth -= 1

signal.signal(signal.SIGALRM, handle)
gc.set_threshold(50)
end = time.monotonic() + seconds
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
turns = 0
while time.monotonic() < end or handled < 100:
    Trash()
    link.slice(100).heal()
    link.connections, link.events, link.bytes_up
    client.sendall(b"x")
    link.wait_for_bytes(turns + 1, timeout=20)
    upstream.recv(1)
    turns += 1
signal.setitimer(signal.ITIMER_REAL, 0)
net.close()
print(handled, turns)
"""


@pytest.mark.slow
def test_a_signal_each_3_ms_whose_handler_uses_the_link() -> None:
    out = subprocess.run(
        [sys.executable, "-c", STRESS, "3"], capture_output=True, text=True, timeout=120, check=False
    )
    assert out.returncode == 0, out.stderr
    handled, turns = map(int, out.stdout.split())
    assert handled >= 100
    assert turns > 0


class TestOnTheProxysOwnThread:
    """Where the collector may run a ``__del__`` in the middle of a step."""

    def test_a_change_waits_for_the_end_of_the_step(self, rig: Any, pair: Any) -> None:
        link, seen = rig.link, []
        with link.delay(0) as older:

            class Nosy(CustomFault):
                def stage(self, place: Place) -> Stage | None:
                    if place.direction == "up":
                        seen.append(link.connections[0].number)
                        older.heal()
                        newer.append(link.apply(Delay(0.001)))
                        seen.append(older.healed)
                        seen.append(newer[0].healed)
                    return None

            newer: list[Any] = []
            link.apply(Nosy())
            rig.fence()
            assert seen == [1, False, False]
            assert older.healed
            pair.client.sendall(b"still")
            assert pair.server.recv(9) == b"still"
            assert newer[0].met_traffic
        kinds = [repr(event.fault) for event in link.events if event.kind in ("fault", "heal")]
        assert kinds[:4] == ["Delay(0)", "Nosy()", "Delay(0)", "Delay(0.001)"]

    def test_and_one_that_fails_is_not_in_force(self, rig: Any, pair: Any) -> None:
        link = rig.link
        made: list[Any] = []

        class Broken(CustomFault):
            def stage(self, place: Place) -> Stage:
                raise ZeroDivisionError

        class Nosy(CustomFault):
            def stage(self, place: Place) -> Stage | None:
                if not made:
                    made.append(link.apply(Broken()))
                return None

        link.apply(Nosy())
        rig.fence()
        assert made[0].healed
        pair.client.sendall(b"fine")
        assert pair.server.recv(9) == b"fine"

    def test_a_link_may_be_closed_there(self, rig: Any, pair: Any, helpers: Any) -> None:
        class Closing(CustomFault):
            def stage(self, place: Place) -> Stage | None:
                rig.link.close()
                return None

        rig.link.apply(Closing())
        assert helpers.take_all(pair.client)[1] in ("fin", "rst")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_call_that_was_interrupted_by_a_fork_ends_in_the_child_as_after_close() -> None:
    """A handler may fork while its thread waits for an answer, which in the child nobody gives."""
    with NetFault() as net:
        link = net.forward(9)
        engine, (heard, said) = net._thread.engine(), os.pipe()
        engine.pause()  # as if the proxy were busy with something else
        waiting = engine._calls.add(lambda: None)
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(RuntimeError):
                waiting.answer()
                os.write(said, b"un")
            os.write(said, b"refused")
            os._exit(0)
        engine.resume()
        os.waitpid(pid, 0)
        assert os.read(heard, 9) == b"refused"
        link.sever()
        for end in (heard, said):
            os.close(end)


class TestMoment:
    def test_is_announced_once(self) -> None:
        moment = Moment()
        assert not moment.wait(0)
        moment.announce()
        moment.announce(cancelled=True)
        assert moment.wait()
        assert not moment.cancelled

    def test_wakes_who_waits(self, helpers: Any) -> None:
        moment = Moment()
        waiting = threading.Thread(target=moment.wait)
        waiting.start()
        moment.announce(cancelled=True)
        waiting.join(20)
        assert not waiting.is_alive()
        assert moment.cancelled


class TestCallQueue:
    def test_answers_in_order(self) -> None:
        queue = CallQueue()
        first, second = queue.add(lambda: 1), queue.add(lambda: 1 // 0)
        queue.run()
        assert not queue
        assert first.answer() == 1
        with pytest.raises(ZeroDivisionError):
            second.answer()

    def test_refuses_what_waits(self) -> None:
        queue = CallQueue()
        call = queue.add(lambda: 1)
        queue.refuse(lambda: RuntimeError("gone"))
        with pytest.raises(RuntimeError, match="gone"):
            call.answer()

    def test_keeps_nothing_of_a_call_that_was_run(self) -> None:
        class Thing:
            pass

        thing, queue = Thing(), CallQueue()
        seen = weakref.ref(thing)
        queue.add(functools.partial(id, thing))
        queue.run()
        del thing
        gc.collect()
        assert seen() is None
