"""Nothing that a test process started outlives it, whichever way it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault.servers import launcher
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.process import OwnedProcess
from pytest_netfault.servers.scratch import ScratchDirectory

Start = Callable[..., OwnedProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[OwnedProcess] = []

    def run(*command: str) -> OwnedProcess:
        process = OwnedProcess(command, output=tmp_path / "output.txt", environment=dict(os.environ))
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()


def _python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def test_it_ends_by_itself_and_tells_how(start: Start, tmp_path: Path) -> None:
    process = start(*_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert process.wait(30)
    assert process.returncode == 3
    assert sorted((tmp_path / "output.txt").read_text().split()) == ["err", "out"]
    process.kill()
    process.pause()
    process.resume()


def test_it_is_killed_and_gone_on_return(start: Start) -> None:
    process = start("/bin/cat", "/dev/zero")
    assert (process.wait(0), process.returncode) == (False, None)
    process.kill()
    assert (process.wait(0), process.returncode) == (True, -signal.SIGKILL)
    assert not Path(f"/proc/{process.pid}").exists()


def _state(process: OwnedProcess) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_is_frozen_on_return_and_can_be_killed_so(start: Start) -> None:
    process = start("/bin/cat", "/dev/zero")
    for _ in range(20):
        process.pause()
        assert _state(process) == "T"
        process.pause()
        process.resume()
        assert _state(process) != "T"
    process.pause()
    process.kill()
    assert process.returncode == -signal.SIGKILL


def test_a_script_ends_with_the_server_that_it_runs(
    start: Start, tmp_path: Path, wait_for_end: Callable[[int], None]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("/bin/sh", "-c", f"cat /dev/zero > /dev/null & echo $! > {pipe}; wait")
    inner = int(pipe.read_text())
    process.kill()
    wait_for_end(inner)


def test_ctrl_c_at_the_terminal_does_not_reach_it(start: Start) -> None:
    process = start("/bin/cat", "/dev/zero")
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    assert os.getsid(process.pid) == process.pid


def test_it_inherits_python_s_ways_with_signals_no_more_than_from_a_shell(
    start: Start,
) -> None:
    process = start("/bin/sh", "-c", "kill -PIPE $$")
    assert process.wait(30)
    assert process.returncode == -signal.SIGPIPE


def test_what_cannot_be_run_says_so(start: Start, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a program")
    process = start(str(text))
    assert process.wait(30)
    assert process.returncode == 1
    assert (tmp_path / "output.txt").read_text() == f"{text} cannot be run: Permission denied\n"


def test_nothing_starts_for_a_parent_that_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, launcher.__file__, "1", "", "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the process that wanted this program is gone\n"


def test_an_embedded_python_is_told(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ServerError, match=r"sys\.executable does not name a Python interpreter"):
        start("/bin/cat")


def test_a_process_that_cannot_be_started_is_an_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError, match="/nowhere/python"):
        start("/bin/cat")


def test_its_thread_ends_with_it(start: Start) -> None:
    before = set(threading.enumerate())
    process = start("/bin/cat", "/dev/zero")
    (thread,) = set(threading.enumerate()) - before
    assert thread.name == "netfault cat"
    process.kill()
    thread.join(30)
    assert not thread.is_alive()


def test_it_lives_on_when_the_thread_that_wanted_it_ends(start: Start) -> None:
    wanted: list[OwnedProcess] = []
    thread = threading.Thread(target=lambda: wanted.append(start("/bin/cat", "/dev/zero")))
    thread.start()
    thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        os.sched_yield()  # until the kernel, too, is done with the thread
    wanted[0].pause()
    assert _state(wanted[0]) == "T"


def test_ctrl_c_while_it_is_being_started_ends_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed: list[str] = []

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if not pressed:
                pressed.append("Ctrl-C")
                raise KeyboardInterrupt
            return super().wait(timeout)

    ours = SimpleNamespace(Event=Interrupted, Lock=threading.Lock, Thread=threading.Thread)
    monkeypatch.setattr("pytest_netfault.servers.process.threading", ours)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        start("/bin/cat", "/dev/zero")
    for thread in set(threading.enumerate()) - before:
        thread.join(30)  # it ends when the process has
        assert not thread.is_alive()


# -- the end of the test process ------------------------------------------------------------------------------

OWNER = """
import os, sys
from pytest_netfault.servers.etcd import EtcdServer
server = EtcdServer(sys.argv[1]).start()
print(server.pid, server.port, server._directory.path, flush=True)
{then}
"""


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("then", "code", "tidy"),
    [
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL, False),
        ("os._exit(7)", 7, False),
        ("server.pause(); os._exit(7)", 7, False),
        ("sys.exit(3)", 3, True),
        ("raise KeyboardInterrupt", -signal.SIGINT, True),
        ("os.abort()", -signal.SIGABRT, False),
        ("server.kill(); os._exit(7)", 7, False),
    ],
)
def test_etcd_ends_with_its_process(
    run_script: Callable[..., Any],
    any_binary: Path,
    wait_for_end: Callable[[int], None],
    then: str,
    code: int,
    tidy: bool,
) -> None:
    script = run_script(OWNER.format(then=then), any_binary)
    pid, port, directory = (
        script.line().split() if "kill(); " not in then else ("None", *script.line().split()[1:])
    )
    assert script.wait() == code
    if pid != "None":
        wait_for_end(int(pid))
    assert _refuses(int(port))
    assert Path(directory).exists() is not tidy
    ScratchDirectory("test").close()  # whoever comes next cleans up
    assert not Path(directory).exists()


def test_etcd_ends_with_its_process_although_a_fork_of_it_lives(
    run_script: Callable[..., Any], any_binary: Path, wait_for_end: Callable[[int], None]
) -> None:
    fork = """
if os.fork() == 0:
    server.close()  # not the child's to close
    try:
        server.log(0)
    except Exception as error:
        os.write(1, f"{error}\\n".encode())  # in one piece, as two processes write
    sys.stdin.read()
    os._exit(0)
os.write(1, b"parent\\n")
sys.stdin.read(1)
os._exit(7)
"""
    script = run_script(OWNER.replace("{then}", fork), any_binary)
    pid, port, _directory = script.line().split()
    said = {script.line(), script.line()}
    assert said == {
        "parent",
        f"etcd-{port} belongs to process {script.process.pid}: a forked child can only use its address",
    }
    assert not _refuses(int(port))
    os.kill(script.process.pid, signal.SIGKILL)
    wait_for_end(int(pid))
    assert _refuses(int(port))


def test_ctrl_c_during_a_start_leaves_nothing(
    run_script: Callable[..., Any], tmp_path: Path, wait_for_end: Callable[[int], None]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {pipe}\nexec cat /dev/zero > /dev/null\n")
    slow.chmod(0o755)
    script = run_script(
        """
import sys, tempfile
tempfile.tempdir = sys.argv[2]
from pytest_netfault.servers.etcd import EtcdServer
EtcdServer(sys.argv[1]).start()
""",
        slow,
        tmp_path,
    )
    inner = int(pipe.read_text())
    os.kill(script.process.pid, signal.SIGINT)
    assert script.wait() == -signal.SIGINT
    wait_for_end(inner)
    assert list(tmp_path.glob("netfault-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_ends_at_a_signal_that_this_process_ignores(tmp_path: Path, number: signal.Signals) -> None:
    """As under ``nohup``, or as a background job of a shell: what is ignored is inherited."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        process = OwnedProcess(["/bin/sleep", "3600"], output=tmp_path / "output")
        name = Path(f"/proc/{process.pid}/comm")
        while name.read_text() != "sleep\n":  # the launcher becomes the program
            assert not process.wait(0.01)
        process.stop(number)
        assert process.returncode == -number
    finally:
        signal.signal(number, before)
