"""A server program of this machine: started, broken, restarted, and gone afterwards."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.servers import OwnedProcess, OwnedServer, ServerError

# Answers each connection with its own process number, and says when it is asked to end.
SERVER = """
import os, signal, socket, sys
def end(*_):
    print("asked to end", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
    print("serving", flush=True)
    while True:
        connection, _ = listener.accept()
        connection.sendall(f"{os.getpid()} {os.getuid()} {os.getcwd()}".encode())
        connection.close()
"""


def _command(port: int, _: Path) -> list[str]:
    return [sys.executable, "-c", SERVER, str(port)]


def _ask(server: OwnedServer) -> list[str]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        return connection.makefile().read().split()


def test_it_serves_in_a_folder_of_its_own_which_is_removed() -> None:
    with OwnedServer(_command, name="answers") as server:
        pid, _, folder = _ask(server)
        assert (int(pid), Path(folder)) == (server.pid, server.folder)
        assert repr(server) == f"answers-{server.port}"
        assert "serving" in server.output()
    assert not Path(folder).exists()
    assert server.pid is None
    assert server.output() == ""
    server.close()


def test_a_restart_keeps_address_and_folder() -> None:
    with OwnedServer(_command) as server:
        before, address, folder = server.pid, server.address, server.folder
        (folder / "kept").write_text("kept")
        server.restart()
        assert server.pid != before
        assert (server.address, server.folder) == (address, folder)
        assert (folder / "kept").read_text() == "kept"
        assert int(_ask(server)[0]) == server.pid
        assert server.start().pid == server.pid


def test_a_server_that_is_killed_refuses_and_is_started_again() -> None:
    with OwnedServer(_command) as server:
        server.kill()
        with pytest.raises(ConnectionRefusedError):
            _ask(server)
        with pytest.raises(ServerError, match=rf"^{server!r} is not running$"):
            server.pause()
        server.start()
        assert int(_ask(server)[0]) == server.pid


def test_a_paused_server_answers_once_it_is_resumed() -> None:
    with OwnedServer(_command) as server:
        server.pause()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
            server.resume()
            connection.settimeout(30)
            assert connection.recv(1)


def test_it_is_asked_to_end_where_that_was_wished(tmp_path: Path) -> None:
    said = tmp_path / "said"

    def keep_output(port: int, _: Path) -> list[str]:
        return ["/bin/sh", "-c", f'exec "$0" -c "$1" {port} > {said}', sys.executable, SERVER]

    with OwnedServer(keep_output, stop_signal=signal.SIGTERM):
        pass
    assert said.read_text().splitlines() == ["serving", "asked to end"]


def test_one_that_does_not_end_when_asked_is_killed() -> None:
    code = SERVER.replace("os._exit(0)", "pass")
    with OwnedServer(lambda port, _: [sys.executable, "-c", code, str(port)]) as server:
        process: Any = server._process
        process.stop(signal.SIGTERM, timeout=0.1)
        assert server.pid is None


def test_one_that_ends_at_once_says_what_it_printed() -> None:
    server = OwnedServer(lambda *_: [sys.executable, "-c", "print('no licence'); raise SystemExit(7)"])
    with pytest.raises(
        ServerError, match=r"ended with exit code 7 before it served; .* printed:\nno licence$"
    ):
        server.start()
    with pytest.raises(ServerError, match="is not started, or closed"):
        _ = server.folder
    with pytest.raises(ServerError, match="is not started, or closed"):
        server.resume()


def test_one_that_never_serves_says_why_not() -> None:
    def not_yet(_: int) -> None:
        raise OSError("still loading")

    with pytest.raises(ServerError, match=r"did not serve within 0\.2 s \(still loading\); the last that"):
        OwnedServer(_command, ready=not_yet, start_timeout=0.2).start()


def test_what_prepare_raises_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def prepare(folder: Path) -> None:
        (folder / "half").write_text("done")
        raise KeyError("licence")

    with pytest.raises(KeyError):
        OwnedServer(_command, prepare=prepare).start()
    assert list(tmp_path.iterdir()) == []


def test_its_environment_is_small_unless_it_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETFAULT_TEST_SECRET", "1")
    told = tmp_path / "told"
    code = f"import os; open({str(told)!r}, 'w').write(repr(dict(os.environ)))\n{SERVER}"
    with OwnedServer(lambda port, _: [sys.executable, "-c", code, str(port)]):
        assert "NETFAULT_TEST_SECRET" not in told.read_text()
    with OwnedServer(lambda port, _: [sys.executable, "-c", code, str(port)], environment=os.environ):
        assert "NETFAULT_TEST_SECRET" in told.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_a_program_that_refuses_root_runs_as_another_user(wait_for_end: Callable[[int], None]) -> None:
    # Not sys.executable: another user may not be allowed to read a virtual environment of root's.
    listen = "import sys; exec(sys.argv[1])"
    nobody = pwd.getpwnam("nobody").pw_uid
    script = SERVER.replace("sys.argv[1]", "sys.argv[2]")
    python = "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip("there is no Python that every user can run")
    with OwnedServer(lambda port, _: [python, "-c", listen, script, str(port)], user="nobody") as server:
        _, uid, folder = _ask(server)
        assert int(uid) == nobody
        assert server.folder.stat().st_uid == nobody
        assert Path(folder) == server.folder
        pid = server.pid
    assert pid is not None
    wait_for_end(pid)
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("command", "error"), [("/bin/cat file", "must be a list of a program's path"), ([], "must be a list")]
)
def test_a_command_that_is_no_list_is_refused(command: Any, error: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=error):
        OwnedProcess(command, output=tmp_path / "output.txt")


def test_a_user_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="there is no user 'nobody-of-that-name' on this machine"):
        OwnedProcess(["/bin/true"], output=tmp_path / "output.txt", user="nobody-of-that-name")


def test_another_user_takes_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    with pytest.raises(ServerError, match="only root can run a program as the user 'nobody'"):
        OwnedProcess(["/bin/true"], output=tmp_path / "output.txt", user="nobody")
