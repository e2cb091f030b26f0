"""Running what a signal handler's exception must not interrupt, such as ``threading.Thread.start``.

Python runs signal handlers in the main thread, between any two steps of it. A ``KeyboardInterrupt`` that lands inside
``Thread.start`` or ``Thread.is_alive`` leaves the standard library's own locks in a wrong state. The lock of an
``Event`` is never released, and the new thread waits for it for ever; or ``RuntimeError: release unlocked lock`` is
raised in place of the ``KeyboardInterrupt``. So the main thread has such a thing done by another thread, where no
handler runs, and only waits for it: on a raw lock, which it may stop waiting for at any moment.
"""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pytest_netfault.proxy.calls import Call

__all__ = ["ends_within", "forget_undisturbed", "undisturbed"]

T = TypeVar("T")

# How long one wait takes for what threading does after a thread's last line.
_LAST_STEPS_SECONDS = 0.0002

# What the main thread waits for: several, where a signal handler has interrupted one.
_running: set[Call[Any]] = set()


def undisturbed(function: Callable[[], T]) -> T:
    """Run it where no signal handler runs; returns what it returns, or raises what it raises.

    What a signal handler raises meanwhile is raised at once, and the function is run to its end.

    >>> undisturbed(lambda: 7)
    7
    """
    if threading.get_ident() != threading.main_thread().ident:
        return function()
    call = Call(function)
    _running.add(call)
    try:
        try:
            # Not threading.Thread, whose start is what must not be interrupted. This is one step.
            _thread.start_new_thread(call.run, ())
        except RuntimeError:  # no more threads, or the interpreter ends
            return function()
        return call.answer()
    finally:
        _running.discard(call)


def ends_within(thread: threading.Thread, seconds: float) -> bool:
    """Wait for the end of a thread; False if that takes longer.

    Not with ``join()``, which makes a ``Thread`` of the thread that waits.
    """
    deadline = time.monotonic() + seconds

    def wait() -> bool:
        while thread.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LAST_STEPS_SECONDS)
        return True

    return undisturbed(wait)


def forget_undisturbed(error: Callable[[], BaseException]) -> None:
    """In a forked child, where the other thread does not exist: nobody waits for it."""
    for call in list(_running):
        call.finish(error())
    _running.clear()
