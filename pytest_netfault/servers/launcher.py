"""Runs a program that dies with the process that started it. Not imported: run as a file, before the program.

    python -I -S launcher.py PARENT_PID [UID:GID] PROGRAM ARGUMENT...

On Linux the kernel is asked to kill this process when the thread that started it ends, which also happens
when that thread's process is killed. If the parent is gone already, the program is not started at all. Then
this process becomes the program, and the request stays in force. It is made after a change of user, because the
kernel drops it then. An empty UID:GID keeps the user.

It stands in a file of its own, because code between fork and exec in a process with threads may deadlock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, ids: str, command: list[str]) -> None:
    """Tie this process to ``parent``, then become ``command``; returns only by exiting."""
    if ids:
        uid, gid = map(int, ids.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
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


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
