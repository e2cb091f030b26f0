"""Runs a program that dies with the process that started it. Not imported: run as a file, before the program.

    python -I -S launcher.py PARENT_PID PROGRAM ARGUMENT...

On Linux the kernel is asked to kill this process when the thread that started it ends, which also happens
when that thread's process is killed. If the parent is gone already, the program is not started at all. Then
the program takes this process over, with the wish still in force.

It stands in a file of its own, because code between fork and exec in a process with threads may deadlock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, command: list[str]) -> None:
    """Tie this process to ``parent``, then become ``command``; returns only by exiting."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the process that wanted this program is gone")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a program would inherit that
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
