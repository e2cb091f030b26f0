"""Runs a program that dies with the process that started it. Not imported: run as a file, before the program.

    python -I -S launcher.py PARENT_PID[,LIFELINE] [UID:GID] PROGRAM ARGUMENT...

On Linux the kernel is asked to kill this process when the thread that started it ends, which also happens
when that thread's process is killed. If the parent is gone already, the program is not started at all. Then
this process becomes the program, and the request stays in force. It is made after a change of user, because the
kernel drops it then. An empty UID:GID keeps the user.

Where the kernel does not do that, LIFELINE is the reading end of a pipe whose writing end the parent has. A small
process, in a session of its own and no child of the program, waits there. A byte tells it that the program has ended
and was waited for. The end of the pipe tells it that the parent has ended: it kills the group of the program. A fork of
the parent that Python did not make may keep the pipe open, so it looks now and then whether the parent is still there.

It stands in a file of its own, because code between fork and exec in a process with threads may deadlock.
"""

from __future__ import annotations

import ctypes  # before a change of user, who may not be allowed to read it
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK_SECONDS = 0.5


def main(parent: int, lifeline: int | None, ids: str, command: list[str]) -> None:
    """Tie this process to ``parent``, then become ``command``; returns only by exiting."""
    if lifeline is not None:
        _leave_guard(parent, lifeline)  # before a change of user: it may kill whatever the program becomes
    if ids:
        uid, gid = map(int, ids.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if lifeline is None:
        _ask_kernel()
    if os.getppid() != parent:
        sys.exit("the process that wanted this program is gone")
    # Python ignores SIGPIPE, and ``nohup`` or a shell's background job SIGINT, and a program would inherit that: it
    # would not end at the signal that it is to be stopped with.
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


def _ask_kernel() -> None:
    """Let the kernel kill this process when the thread that started it ends, where it can."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")


def _leave_guard(parent: int, lifeline: int) -> None:
    """Leave a process behind that does for the program what the kernel does on Linux."""
    program = os.getpid()
    between = os.fork()
    if between == 0:
        try:
            if os.fork() == 0:
                _guard(program, parent, lifeline)
        finally:
            os._exit(0)
    os.waitpid(between, 0)
    os.close(lifeline)


def _guard(program: int, parent: int, lifeline: int) -> None:
    os.setsid()  # what reaches the program's group, such as a pause, does not reach this
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        if select.select([lifeline], [], [], _LOOK_SECONDS)[0]:
            if os.read(lifeline, 1):
                return
            break
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            break
        except PermissionError:  # another user's by now, and there
            pass
    try:
        os.killpg(program, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    _parent, _, _lifeline = sys.argv[1].partition(",")
    main(int(_parent), int(_lifeline) if _lifeline else None, sys.argv[2], sys.argv[3:])
