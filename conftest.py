"""For every test of the repository: no wall-clock deadline on what Hypothesis tries, and children that Ctrl-C ends.

Two shared cores make a fast example slow now and then, and a deadline or a health check calls that a bug.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence

import pytest

if importlib.util.find_spec("hypothesis") is not None:  # the core is tested without it too
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "netfault", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("netfault")

# Run before a program, in its own process: code between fork and exec in a process with threads may deadlock.
_INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="session")
def interruptible() -> Callable[[Sequence[str]], list[str]]:
    """A command that SIGINT ends, for a test that presses Ctrl-C.

    Under ``nohup``, or as a background job of a shell, this process ignores the signal, and its children inherit that.
    """

    def wrap(command: Sequence[str]) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", _INTERRUPTIBLE, *command]

    return wrap
