"""A start of the proxy's thread that fails or is interrupted: the next call tries again, and closing works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.proxy import engine as engine_module
from pytest_netfault.proxy import thread as thread_module
from pytest_netfault.proxy import wakeup as wakeup_module
from pytest_netfault.proxy.thread import NetFaultClosed, ProxyThread

# Set in the process of its own in which descriptors are counted.
ALONE = "NETFAULT_TESTS_ALONE"


def test_a_start_that_fails_gives_its_descriptors_back() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    out = subprocess.run(
        [*command, f"{__file__}::TestAFailure"],
        env={**os.environ, ALONE: "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert out.returncode == 0, out.stdout
    assert " passed" in out.stdout


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), KeyboardInterrupt(), MemoryError()], ids=repr
)
class TestAFailure:
    @pytest.fixture(autouse=True)
    def bounded(self, helpers: Any) -> Any:
        """The descriptors that the start took are given back, counted where nobody else opens any."""
        before = helpers.open_descriptors()
        yield
        assert ALONE not in os.environ or helpers.open_descriptors() <= before

    def check(self, net: NetFault, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(type(error)) as caught:
            net.forward(9)
        assert caught.value is error
        monkeypatch.undo()
        net.forward(9).sever()
        net.close()
        assert threading.active_count() == self.threads

    def fails(self, error: BaseException) -> Any:
        self.threads = threading.active_count()

        def fail(*_: object, **__: object) -> None:
            raise error

        return fail

    def test_before_the_thread_is_there(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        monkeypatch.setattr(threading.Thread, "start", self.fails(error))
        self.check(NetFault(), error, monkeypatch)

    def test_when_the_thread_has_just_started(
        self, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        real, fail = threading.Thread.start, self.fails(error)

        def start(thread: threading.Thread) -> None:
            real(thread)
            fail()

        monkeypatch.setattr(threading.Thread, "start", start)
        self.check(NetFault(), error, monkeypatch)

    def test_of_its_engine(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        monkeypatch.setattr(wakeup_module.socket, "socketpair", self.fails(error))
        self.check(NetFault(), error, monkeypatch)

    def test_of_the_thread_object(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        monkeypatch.setattr(thread_module.threading, "Thread", self.fails(error))
        self.check(NetFault(), error, monkeypatch)

    def test_when_its_link_starts(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        monkeypatch.setattr(thread_module.ProxyLink, "run", self.fails(error))
        self.check(NetFault(), error, monkeypatch)

    def test_closing_does_not_hide_it(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        monkeypatch.setattr(threading.Thread, "start", self.fails(error))
        with pytest.raises(type(error)) as caught, NetFault() as net:
            net.forward(9)
        assert caught.value is error

    def test_and_a_second_one_while_the_first_is_undone(
        self, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        net = NetFault()
        monkeypatch.setattr(threading.Thread, "start", self.fails(error))
        monkeypatch.setattr(engine_module.Engine, "end", self.fails(error))
        with pytest.raises(type(error)):
            net.forward(9)
        monkeypatch.undo()
        net.forward(9)
        net.close()


@pytest.fixture
def in_the_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Have a signal handler do something while the main thread starts the proxy's thread."""
    before, real = signal.getsignal(signal.SIGUSR1), threading.Thread.start

    def install(function: Callable[[], None]) -> None:
        handled = threading.Event()

        def handler(*_: object) -> None:
            try:
                function()
            finally:
                handled.set()

        def start(thread: threading.Thread) -> None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            assert handled.wait(20)
            real(thread)

        signal.signal(signal.SIGUSR1, handler)
        monkeypatch.setattr(threading.Thread, "start", start)

    yield install
    signal.signal(signal.SIGUSR1, before)


def test_a_start_inside_a_start_by_the_same_thread_is_refused_with_a_sentence(in_the_start: Any) -> None:
    """As a signal handler may do it: waiting would be for itself."""
    proxy, said = ProxyThread(), []

    def ask() -> None:
        with pytest.raises(RuntimeError, match="is just being started") as caught:
            proxy.engine()
        said.append(caught)

    in_the_start(ask)
    proxy.engine()
    proxy.close()
    assert said


def test_closed_inside_its_start_it_is_closed(in_the_start: Any) -> None:
    net = NetFault()
    in_the_start(net.close)
    with pytest.raises(RuntimeError, match="closed"):
        net.forward(9)
    assert net._thread._life is not None
    net._thread._life.thread.join(20)


def test_an_interrupted_start_leaves_no_lock_of_threading_held(in_the_start: Any) -> None:
    """The thread that is started meanwhile comes to its end, and only the interruption is raised."""
    net, threads = NetFault(), threading.active_count()

    def interrupt() -> None:
        raise KeyboardInterrupt

    in_the_start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        net.forward(9)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    net.close()
    deadline = time.monotonic() + 20
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() == threads


def test_a_fork_inside_the_start_leaves_no_child_that_waits(in_the_start: Any) -> None:
    """The thread that starts it is the parent's; in the child it is as after close."""
    net, pids = NetFault(), []
    in_the_start(lambda: pids.append(os.fork()))
    try:
        net.forward(9)
        net.close()
    except BaseException as error:
        if pids == [0]:
            os._exit(7 if isinstance(error, NetFaultClosed) else 8)
        raise
    if pids == [0]:
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 7


INTERRUPTED = """
import signal, threading, time
from pathlib import Path
from pytest_netfault.control import NetFault

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
with NetFault() as warm:
    warm.forward(9)
seen = {"in time": 0, "too late": 0}
for number in range(400):
    net = NetFault()
    caught = None
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.00001 + number % 80 * 0.00002)
            net.forward(9)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        caught = error
    assert caught is None or type(caught) is KeyboardInterrupt, repr(caught)
    seen["in time" if caught else "too late"] += 1
    net.forward(9).sever()
    net.close()
deadline = time.monotonic() + 20
while len(tasks := list(Path("/proc/self/task").iterdir())) > 1 and time.monotonic() < deadline:
    time.sleep(0.01)
assert len(tasks) == 1, (tasks, threading.enumerate())
print(seen)
"""


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_the_start() -> None:
    out = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, check=False
    )
    assert out.returncode == 0, out.stderr
    assert "'in time': 0" not in out.stdout
