"""One child process that can be paused, killed and waited for, and that never outlives us.

On Linux the kernel kills it when the *thread* that started it ends (see `tied`), so each process has a thread of
its own, which starts it, waits for its end and ends with it. It runs in a session of its own: Ctrl-C at the
terminal reaches us, not it, and we decide.

Invariant: a signal is sent only under the lock that also guards the moment at which the child is reaped, so it
can never reach another process that was given the same number.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_netfault.common import system
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.tied import Tie, reap, stopped

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["OwnedProcess", "last_lines"]

_POLL_SECONDS = 0.01


class OwnedProcess:
    """A running program. It is killed when this process ends, in whatever way: also by ``kill -9``.

    A context manager: the program is killed when the block ends.

    Args:
        command: the program's path and its arguments.
        output: the file that its standard output and error are appended to.
        environment: its environment; by default that of this process.
        folder: its working directory; by default that of this process.
        user: run it as this user of the system, for a program that refuses to run as root. Only root can do that.

    Raises:
        ServerError: there is no Python interpreter to start it with, or no such user.
        OSError: the process could not be started.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with OwnedProcess(["/bin/echo", "hello"], output=Path(folder, "output.txt")) as process:
    ...         process.wait(30), process.returncode, process.output()
    (True, 0, 'hello')
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        user: str | None = None,
    ) -> None:
        if isinstance(command, (str, bytes)) or not command:
            raise TypeError(f"command must be a list of a program's path and its arguments, not {command!r}")
        self.command = tuple(command)
        self._output = output
        tie = Tie(command, _ids(user))
        self._lock = threading.Lock()
        self._freezing = threading.Lock()  # a resume may not come while a pause waits to see it frozen
        self._frozen = False
        self._process: subprocess.Popen[bytes] | None = None
        self._error: BaseException | None = None
        self._unwanted = False
        self._known = threading.Event()
        self._dead = threading.Event()
        thread = threading.Thread(
            target=self._live,
            args=(tie, output, None if environment is None else dict(environment), folder),
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

    def wait_until(self, ready: Callable[[], object], *, timeout: float = 30.0) -> None:
        """Return once ``ready()`` returns, asking again and again while it raises `OSError` or `ServerError`.

        Raises:
            ServerError: the program ended before, or ``timeout`` seconds passed; the message ends with the last
                lines that it printed.
        """
        deadline = time.monotonic() + timeout
        reason = "it was not asked yet"
        while not self.wait(_POLL_SECONDS):
            try:
                ready()
                return
            except (OSError, ServerError) as error:
                reason = str(error)
            if time.monotonic() >= deadline:
                raise ServerError(
                    f"{self.command[0]} did not serve within {timeout:g} s ({reason}); {self._last_lines()}"
                )
        raise ServerError(
            f"{self.command[0]} ended with exit code {self.returncode} before it served; {self._last_lines()}"
        )

    def output(self, lines: int = 30) -> str:
        """The last ``lines`` lines of its output file; empty if there is none."""
        return last_lines(self._output, lines)

    def _last_lines(self) -> str:
        printed = self.output()
        return f"the last that it printed:\n{printed}" if printed else "it printed nothing"

    def pause(self) -> None:
        """Freeze it (SIGSTOP); when this returns, it executes nothing. Idempotent."""
        with self._freezing:
            if self._signal(signal.SIGSTOP) and (system.LINUX or not self._frozen):
                assert self._process is not None
                stopped(self._process, self._lock)
                self._frozen = True

    def resume(self) -> None:
        """Let it go on after `pause`. Idempotent."""
        with self._freezing:
            self._signal(signal.SIGCONT)
            self._frozen = False

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 10.0) -> None:
        """Ask it to end with a signal, and kill it if it has not ended after ``timeout`` seconds. Idempotent."""
        if self._signal(number, group=False):
            self.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End it, and every process of its group, with SIGKILL, and wait until it has ended. Idempotent."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._dead.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def __repr__(self) -> str:
        return f"<OwnedProcess {Path(self.command[0]).name}>"

    def _signal(self, number: signal.Signals, *, group: bool = True) -> bool:
        with self._lock:
            if self._process is None or self._process.returncode is not None:
                return False
            # The whole group: the program may be a script that runs the server as a child of its own.
            (os.killpg if group else os.kill)(self._process.pid, number)
            return True

    def _live(self, tie: Tie, output: Path, environment: dict[str, str] | None, folder: Path | None) -> None:
        try:
            with output.open("ab") as log:
                self._process = subprocess.Popen(
                    tie.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=folder,
                    start_new_session=True,
                    pass_fds=tie.descriptors,
                )
        except BaseException as error:
            tie.ended()
            self._error = error
            self._dead.set()
            return
        finally:
            tie.started()
            self._known.set()
        if self._unwanted:
            os.killpg(self._process.pid, signal.SIGKILL)
        reap(self._process, self._lock)
        self._dead.set()
        tie.ended()


def last_lines(path: Path, lines: int) -> str:
    """The last ``lines`` lines of a text file; empty if it does not exist."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _ids(user: str | None) -> str:
    """The numbers of a user and its group as the launcher takes them; empty for the user that we are."""
    if user is None:
        return ""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ServerError(f"there is no user {user!r} on this machine to run a program as") from None
    if os.geteuid() not in (0, entry.pw_uid):
        raise ServerError(f"only root can run a program as the user {user!r}")
    return "" if os.geteuid() == entry.pw_uid else f"{entry.pw_uid}:{entry.pw_gid}"
