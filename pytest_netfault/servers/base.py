"""Server programs for tests: one that is started, paused, killed and restarted, on a port and in a folder of its own.

`OwnedServer` is all that a test needs to run a database or a broker from this machine's packages. `ServerProcess` is
its life cycle without the folder and the port, for servers that arrange those themselves (see `etcd`).

What is opened is released in reverse order, also when a start fails half way: process, port, folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.ports import ReservedPort
from pytest_netfault.servers.process import OwnedProcess, last_lines
from pytest_netfault.servers.scratch import ScratchDirectory

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["OwnedServer", "ServerProcess", "accepts"]


class ServerProcess:
    """A server program: down until `spawn`, and any number of times up and down again.

    Args:
        command: the program and its arguments.
        folder: its working directory; what it prints goes to the file ``output.txt`` there.
        ready: returns once the server serves; raises `OSError` or `ServerError` while it does not.
        environment: its environment; by default that of this process.
        start_timeout: how long a start may take, in seconds.
        user: run it as this user of the system.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        ready: Callable[[], object],
        environment: Mapping[str, str] | None = None,
        start_timeout: float = 30.0,
        user: str | None = None,
    ) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._ready = ready
        self._environment = environment
        self._start_timeout = start_timeout
        self._user = user
        self._process: OwnedProcess | None = None
        self.paused = False

    @property
    def pid(self) -> int | None:
        """Its process number; None while it is down."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def spawn(self) -> None:
        """Start it, unless it is up; it may not serve yet."""
        if self.pid is None:
            self.paused = False
            self._process = OwnedProcess(
                self._command,
                output=self._folder / "output.txt",
                environment=self._environment,
                folder=self._folder,
                user=self._user,
            )

    def wait_until_it_serves(self) -> None:
        """Return once it is ready.

        Raises:
            ServerError: it ended, or did not serve in time; the message ends with the last lines that it printed.
        """
        self.wait_until(self._ready, timeout=self._start_timeout)

    def wait_until(self, ready: Callable[[], object], *, timeout: float) -> None:
        """As `OwnedProcess.wait_until`."""
        if self._process is None:
            raise ServerError(f"{self._command[0]} was not started")
        self._process.wait_until(ready, timeout=timeout)

    def stop(self, number: signal.Signals, *, timeout: float = 10.0) -> None:
        """Ask it to end with a signal; kill it if it has not ended after ``timeout`` seconds. Idempotent."""
        if self._process is not None:
            self._process.stop(number, timeout=timeout)

    def kill(self) -> None:
        """End it with SIGKILL; it is gone on return. Idempotent."""
        if self._process is not None:
            self._process.kill()

    def pause(self, name: str) -> None:
        """Freeze it; ``name`` is what an error calls it."""
        self._running(name).pause()
        self.paused = True

    def resume(self, name: str) -> None:
        """Let it go on; ``name`` is what an error calls it."""
        self._running(name).resume()
        self.paused = False

    def output(self, lines: int) -> str:
        """The last ``lines`` lines that it printed."""
        return last_lines(self._folder / "output.txt", lines)

    def _running(self, name: str) -> OwnedProcess:
        if self._process is None or self.pid is None:
            raise ServerError(f"{name} is not running")
        return self._process


class OwnedServer:
    """A server program of this machine that serves while its block runs, on 127.0.0.1; a context manager.

    It keeps its port and its folder through `kill` and `restart`, dies with this process in whatever way that ends,
    and its folder is removed then or by the next scratch folder that is made. As a ``server`` of the proof it needs
    no more than its `address`; `restart`, `pause` and `resume` are there for schedules to use.

    Args:
        command: the program and its arguments, made from the port and the folder.
        ready: returns once the server serves, given the port; raises `OSError` or `ServerError` while it does not. By
            default it serves once it accepts a connection.
        prepare: fills the folder before the first start, given the folder.
        environment: its environment; by default PATH and the C locale only.
        stop_signal: how it is asked to end, for one that would leave something behind if it were killed.
        user: run it as this user of the system, who then owns the folder.
        name: one word, for messages and for the name of the folder.
        start_timeout: how long a start may take, in seconds.

    Raises:
        ServerError: from `start` and the ``with`` statement: it cannot be run, ended at once, or did not serve in
            time; the message ends with the last lines that it printed.

    >>> import sys
    >>> def http(port, folder):
    ...     return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    >>> with OwnedServer(http, name="http") as server:
    ...     server.restart()
    ...     host, port = server.address.split(":")
    ...     socket.create_connection((host, int(port))).close()
    """

    def __init__(
        self,
        command: Callable[[int, Path], Sequence[str]],
        *,
        ready: Callable[[int], object] | None = None,
        prepare: Callable[[Path], object] | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGKILL,
        user: str | None = None,
        name: str = "server",
        start_timeout: float = 60.0,
    ) -> None:
        self._command = command
        self._ready = accepts if ready is None else ready
        self._prepare = prepare
        self._environment = (
            {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
            if environment is None
            else dict(environment)
        )
        self._stop_signal = stop_signal
        self._user = user
        self._name = name
        self._start_timeout = start_timeout
        self._opened = ExitStack()
        self._process: ServerProcess | None = None
        self._folder: Path | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """Where clients connect: ``"127.0.0.1:6379"``."""
        return f"127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        """Its folder and working directory.

        Raises:
            ServerError: it is not started, or closed.
        """
        if self._folder is None:
            raise ServerError(f"{self!r} is not started, or closed")
        return self._folder

    @property
    def pid(self) -> int | None:
        """The number of its process; None while it is down."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Start it, or start it again after `kill`; return once it serves. One that runs is left as it is."""
        if self._process is not None:
            if self._process.pid is None:
                self._process.spawn()
                self._process.wait_until_it_serves()
            return self
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def _open(self) -> None:
        self._folder = self._opened.enter_context(ScratchDirectory(self._name)).path
        if self._user is not None:
            # The scratch folder stays ours, so that it is known for ours when we were killed.
            self._folder.chmod(0o711)
            self._folder = self._folder / "home"
            self._folder.mkdir(mode=0o700)
            shutil.chown(self._folder, self._user)
        if self._prepare is not None:
            self._prepare(self._folder)
        self.port = self._opened.enter_context(ReservedPort()).number
        self._process = ServerProcess(
            self._command(self.port, self._folder),
            folder=self._folder,
            ready=lambda: self._ready(self.port),
            environment=self._environment,
            start_timeout=self._start_timeout,
            user=self._user,
        )
        self._opened.callback(self._process.stop, self._stop_signal)
        self._process.spawn()
        self._process.wait_until_it_serves()

    def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing; its address and folder stay for `start`. Idempotent."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """`kill` and `start`: the same address, and what it had on disk."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing is answered. In force on return."""
        self._started().pause(repr(self))

    def resume(self) -> None:
        """Let it go on after `pause`. Idempotent."""
        self._started().resume(repr(self))

    def wait_until(self, ready: Callable[[], object], *, timeout: float = 60.0) -> None:
        """Return once ``ready()`` returns, asking again and again while it raises `OSError` or `ServerError`.

        Raises:
            ServerError: the server ended before, or ``timeout`` seconds passed.
        """
        self._started().wait_until(ready, timeout=timeout)

    def output(self, lines: int = 30) -> str:
        """The last ``lines`` lines that it printed; empty before the start and after `close`."""
        return "" if self._process is None else self._process.output(lines)

    def close(self) -> None:
        """End it and remove what it had. Idempotent."""
        self._process = None
        self._opened.close()
        self._folder = None

    def _started(self) -> ServerProcess:
        if self._process is None:
            raise ServerError(f"{self!r} is not started, or closed")
        return self._process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{self._name}-{self.port}" if self.port else self._name


def accepts(port: int) -> None:
    """Return if something on 127.0.0.1 accepts a connection at a port.

    Raises:
        OSError: nothing does.
    """
    socket.create_connection(("127.0.0.1", port), timeout=10.0).close()
