"""One child process that can be frozen, killed and waited for, and that never outlives us.

The kernel kills it when the *thread* that started it ends (see `launcher`), so each process has a thread of
its own, which starts it, waits for its end and ends with it. It runs in a session of its own: Ctrl-C at the
terminal reaches us, not it, and we decide.

Rules of this file: a signal is sent only under the lock that also guards the moment at which the child is
reaped, so it can never hit another process that was given the same number.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_netfault.servers import launcher
from pytest_netfault.servers.errors import ServerError

__all__ = ["OwnedProcess"]


class OwnedProcess:
    """A running program. It is killed when this process ends, whatever way that happens.

    Args:
        command: the program's path and its arguments.
        output: the file that its standard output and error are appended to.
        environment: its environment.
        folder: its working directory; None for ours.

    Raises:
        ServerError: there is no Python interpreter to start it with.
        OSError: the process could not be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
    ) -> None:
        if not sys.executable:
            raise ServerError("a server cannot be started: sys.executable does not name a Python interpreter")
        launch = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), *command]
        self._lock = threading.Lock()
        self._freezing = threading.Lock()  # a resume may not come while a pause waits to see it frozen
        self._process: subprocess.Popen[bytes] | None = None
        self._error: BaseException | None = None
        self._unwanted = False
        self._known = threading.Event()
        self._dead = threading.Event()
        thread = threading.Thread(
            target=self._live,
            args=(launch, output, dict(environment), folder),
            name=f"netfault {Path(command[0]).name}",
            daemon=True,
        )
        try:
            thread.start()
            self._known.wait()
        except BaseException:
            self._unwanted = True  # Ctrl-C just now: its thread ends it, as nobody else will know of it
            self.kill()
            raise
        if self._error is not None:
            raise self._error

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen.returncode`; None while it runs."""
        return self._process.returncode if self._process is not None and self._dead.is_set() else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds for its end; return whether it has ended."""
        return self._dead.wait(timeout)

    def pause(self) -> None:
        """Freeze it; when this returns, it executes nothing. Twice is fine."""
        with self._freezing:
            if self._signal(signal.SIGSTOP):
                try:
                    # Not consumed, so that it tells a state and not an event that only the first call sees.
                    os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
                except ChildProcessError:
                    pass  # it was killed meanwhile, which is as silent

    def resume(self) -> None:
        """Let it go on after `pause`. Twice is fine."""
        with self._freezing:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL and wait until it has ended. Twice is fine."""
        if self._signal(signal.SIGKILL):
            self._dead.wait()

    def _signal(self, number: signal.Signals) -> bool:
        with self._lock:
            if self._process is None or self._dead.is_set():
                return False
            # The whole group: the program may be a script that runs the server as a child of its own.
            os.killpg(self._process.pid, number)
            return True

    def _live(
        self, launch: list[str], output: Path, environment: dict[str, str], folder: Path | None
    ) -> None:
        try:
            with output.open("ab") as log:
                self._process = subprocess.Popen(
                    launch,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=folder,
                    start_new_session=True,
                )
        except BaseException as error:
            self._error = error
            self._dead.set()
            return
        finally:
            self._known.set()
        if self._unwanted:
            os.killpg(self._process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._process.wait()
            self._dead.set()
