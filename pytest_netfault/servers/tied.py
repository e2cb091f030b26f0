"""How a child process is tied to this one, so that it never outlives it, and how its end is waited for.

On Linux the kernel does both. Elsewhere a guard beside the child watches a pipe of ours (see `launcher`), and the child
is looked after now and then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from pytest_netfault.common import system
from pytest_netfault.servers import launcher
from pytest_netfault.servers.errors import ServerError

__all__ = ["Tie", "python", "reap", "stopped"]

_POLL_SECONDS = 0.01
# How long a program is given to be seen frozen, where its kernel has to be asked again and again.
_STOP_SECONDS = 2.0
# Our ends of the ties of all children.
_ours: set[int] = set()


class Tie:
    """Between this process and one child that is about to be started.

    Args:
        command: the program's path and its arguments.
        ids: the numbers of the user and group to run it as, as `launcher` takes them; empty for those that we are.

    Raises:
        ServerError: there is no Python interpreter to start it with.
    """

    def __init__(self, command: Sequence[str], ids: str = "") -> None:
        interpreter = python()
        self._guarded: int | None = None
        self._ours = -1
        if not system.LINUX:
            self._guarded, self._ours = os.pipe()
            _ours.add(self._ours)
        lifeline = "" if self._guarded is None else f",{self._guarded}"
        #: What to start in place of the command, in a session of its own, ...
        self.command = [interpreter, "-I", "-S", launcher.__file__, f"{os.getpid()}{lifeline}", ids, *command]
        #: ... and the descriptors that it must inherit.
        self.descriptors: tuple[int, ...] = () if self._guarded is None else (self._guarded,)

    def started(self) -> None:
        """The child was started, or could not be: it has its end of the tie by now."""
        if self._guarded is not None:
            os.close(self._guarded)
            self._guarded = None

    def ended(self) -> None:
        """The child has ended and was waited for, or there is none. Idempotent."""
        self.started()
        if self._ours in _ours:  # not in a fork of the process that has started it
            _ours.remove(self._ours)
            try:
                os.write(self._ours, b".")
            except BrokenPipeError:  # there is no guard
                pass
            os.close(self._ours)
        self._ours = -1


def _let_go() -> None:
    """In a fork of this process: with its ends of the ties it would keep the children when we have ended."""
    while _ours:
        os.close(_ours.pop())


if not system.LINUX:
    os.register_at_fork(after_in_child=_let_go)


def reap(process: subprocess.Popen[bytes], lock: threading.Lock) -> None:
    """Wait for the end of a child, and reap it under a lock: a signal sent under that lock reaches no other process."""
    if system.LINUX:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with lock:
            process.wait()
        return
    while True:
        with lock:
            if process.poll() is not None:
                return
        time.sleep(_POLL_SECONDS)


def stopped(process: subprocess.Popen[bytes], lock: threading.Lock) -> None:
    """Wait until a child to which SIGSTOP was sent executes nothing any more, stopped or dead.

    Outside Linux this can be asked once for each SIGSTOP that has stopped it.
    """
    if system.LINUX:
        try:
            # Not consumed, so that it tells a state and not an event that only the first call sees.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        except ChildProcessError:
            pass  # it was killed meanwhile, which is as silent
        return
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        with lock:
            if process.returncode is not None:
                return
            found, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
            if found and not os.WIFSTOPPED(status):
                process.returncode = os.waitstatus_to_exitcode(status)
            if found:
                return
        time.sleep(_POLL_SECONDS / 10)


def python() -> str:
    """The interpreter that runs the launcher.

    Raises:
        ServerError: there is none, as in an embedded Python.
    """
    if not sys.executable:
        raise ServerError("a server cannot be started: sys.executable does not name a Python interpreter")
    return sys.executable
