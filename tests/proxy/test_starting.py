"""A start of the proxy's thread that fails or is interrupted: the next call tries again, and closing works."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.proxy import engine as engine_module
from pytest_netfault.proxy import thread as thread_module
from pytest_netfault.proxy import wakeup as wakeup_module
from pytest_netfault.proxy.thread import ProxyThread


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), KeyboardInterrupt(), MemoryError()], ids=repr
)
class TestAFailure:
    @pytest.fixture(autouse=True)
    def bounded(self, helpers: Any) -> Any:
        """The descriptors that the start took are given back."""
        before = helpers.open_descriptors()
        yield
        assert helpers.open_descriptors() <= before

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


def test_a_start_inside_a_start_by_the_same_thread_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a signal handler may do it: waiting would be for itself."""
    proxy, real, said = ProxyThread(), threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        with pytest.raises(RuntimeError, match="is just being started") as caught:
            proxy.engine()
        said.append(caught)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    proxy.engine()
    proxy.close()
    assert said


def test_closed_inside_its_start_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    net, real = NetFault(), threading.Thread.start

    def start(thread: threading.Thread) -> None:
        net.close()
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="closed"):
        net.forward(9)
    assert net._thread._life is not None
    net._thread._life.thread.join(20)


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
