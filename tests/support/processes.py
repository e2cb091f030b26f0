"""Child processes of tests: programs whose lines are read, and commands that no test process leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from pytest_netfault.servers import launcher


def owned(command: Sequence[str]) -> list[str]:
    """The command, such that it dies with the test process, in whatever way that ends, and that SIGINT ends it.

    The kernel kills it with the *thread* that starts it, so that must be one that lives as long as it shall. Under
    ``nohup``, or as a background job of a shell, the test process ignores SIGINT, and its children would inherit that.
    """
    return [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), "", *command]


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
