"""Whole pytest sessions in processes of their own, with exactly the plugins that a test names."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.processes import owned

# What the tests inside those sessions share: an echo server, and a client that says something and reads it back.
INNER_CONFTEST = """
import socket
import socketserver
import threading

import pytest


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while data := self.request.recv(4096):
                self.request.sendall(data)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture(scope="session")
def echo():
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def talk():
    def talk(link, text=b"hello"):
        with socket.create_connection((link.host, link.port), timeout=10) as client:
            client.sendall(text)
            heard = b""
            while len(heard) < len(text):
                more = client.recv(4096)
                assert more, "the connection ended"
                heard += more
            return heard

    return talk
"""


class Sessions:
    """Starts pytest in ``pytester``'s directory."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self._started: list[subprocess.Popen[str]] = []

    def file(self, text: str, name: str = "test_it") -> None:
        """Write a file of tests."""
        self.pytester.makepyfile(**{name: text})

    def conftest(self, text: str) -> None:
        """Add to the ``conftest.py`` that all of these sessions have."""
        self.pytester.makeconftest(INNER_CONFTEST + "\n\n" + textwrap.dedent(text))

    def run(self, *arguments: str, plugins: Sequence[str] = ()) -> pytest.RunResult:
        """Run pytest to its end. Our plugin is loaded, and of all others those that are named."""
        return self.pytester.runpytest_subprocess(*_naming(("netfault", *plugins)), *arguments)

    def run_without(self, *arguments: str) -> pytest.RunResult:
        """Run pytest to its end as one would who has the plugin and does not want it."""
        return self.pytester.runpytest_subprocess("-p", "no:netfault", *arguments)

    def start(self, *arguments: str, plugins: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start pytest, its output a pipe; it is killed when the test ends, if it is still there."""
        command = [sys.executable, "-u", "-m", "pytest", "-p", "no:cacheprovider"]
        process = subprocess.Popen(
            owned([*command, *_naming(("netfault", *plugins)), *arguments]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.pytester.path,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


def _naming(plugins: Sequence[str]) -> list[str]:
    return [word for plugin in plugins for word in ("-p", plugin)]


@pytest.fixture
def sessions(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Sessions]:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    # A session of ours is nobody's worker, even if the test that starts it runs in one.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    made = Sessions(pytester)
    made.conftest("")
    yield made
    made.close()


@pytest.fixture(scope="session")
def read_until() -> Callable[[subprocess.Popen[str], str], re.Match[str]]:
    """Read what a process prints until a pattern is in a line, and give the match."""

    def read(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"it ended without {pattern!r} after:\n{''.join(seen)}")

    return read


@pytest.fixture(scope="session")
def refuses() -> Callable[[int], bool]:
    """Whether nobody listens on a port of this machine."""

    def look(port: int) -> bool:
        with socket.socket() as client:
            client.settimeout(10)
            try:
                client.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                return True
            return False

    return look


@pytest.fixture(scope="session")
def await_end() -> Callable[[int], None]:
    """Wait until a process has ended, told by the kernel; at once if there is none of that number."""

    def wait(pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            ended, _, _ = select.select([handle], [], [], 30)
            assert ended, f"process {pid} is still there"
        finally:
            os.close(handle)

    return wait


@pytest.fixture(scope="session")
def interrupt() -> Callable[[subprocess.Popen[str]], str]:
    """Ctrl-C: what the process printed after it, when it has ended."""

    def press(process: subprocess.Popen[str]) -> str:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        return output

    return press


@pytest.fixture(scope="session")
def files_below() -> Callable[[Path], set[str]]:
    """The files in a directory, but for what Python and pytest cache."""

    def look(directory: Path) -> set[str]:
        return {
            str(path.relative_to(directory))
            for path in directory.rglob("*")
            if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts)
        }

    return look
