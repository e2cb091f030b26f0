"""Child processes of tests: programs whose lines are read, and commands that SIGINT ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

# Run before a program, in its own process: code between fork and exec in a process with threads may deadlock.
_INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def interruptible(command: Sequence[str]) -> list[str]:
    """The command, with the default action of SIGINT restored, for a test that presses Ctrl-C.

    Under ``nohup``, or as a background job of a shell, the test process ignores the signal, and its children inherit
    that.
    """
    return [sys.executable, "-I", "-S", "-c", _INTERRUPTIBLE, *command]


class Script:
    """A Python program of a test in its own process, whose lines of output the test reads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program ended without printing the expected line"
        return line.strip()

    def wait(self) -> int:
        return self.process.wait(timeout=30)
