"""Finds the moment at which a test ends, before anything of it is torn down.

A client's own ``close()`` needs a network that works. pytest tears fixtures down after the test's call phase, and there
a hook is enough. Some of it happens earlier: an event loop that a plugin runs one test in is closed when the test's
coroutine has ended, ``tearDown`` of a ``unittest`` class belongs to the call, and what a timeout interrupts is unwound
from the inside.

The standard library only, because pytest loads this in every session. The callback that is passed in must be idempotent
and must not raise.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["at_the_alarm", "when_the_function_ends"]

# How long a test that has timed out waits for its faults to be healed, which takes milliseconds.
_HEAL_SECONDS = 2.0


@contextlib.contextmanager
def when_the_function_ends(item: Any, end: Callable[[], None]) -> Iterator[None]:
    """While this holds, the function of a test calls ``end`` when it has ended, however it ends.

    Only where something is torn down within the call phase: coroutines, and methods of ``unittest`` classes.
    """
    function = getattr(item, "obj", None)
    if inspect.iscoroutinefunction(function):
        if _is_unittest(item):  # whose loop calls the method of the instance, whatever pytest knows of it
            setattr(item.instance, item.name, _coroutine(function, end))
            try:
                yield
            finally:
                delattr(item.instance, item.name)
            return
        item.obj = _coroutine(function, end)
    elif function is not None and _is_unittest(item):
        item.obj = _method(function, end)
    else:
        yield
        return
    try:
        yield
    finally:
        item.obj = function


def _is_unittest(item: Any) -> bool:
    unittest = sys.modules.get("unittest")
    case = getattr(unittest, "TestCase", None)  # not yet there while the package is being imported
    return case is not None and issubclass(getattr(item, "cls", None) or object, case)


def _coroutine(function: Callable[..., Any], end: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def run(*arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        try:
            return await function(*arguments, **named)
        finally:
            end()

    return run


def _method(function: Callable[..., Any], end: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(*arguments, **named)
        finally:
            end()

    return run


def at_the_alarm(end: Callable[[], None]) -> None:
    """Call ``end`` when the alarm that was just set (SIGALRM) makes the test fail, before anything is unwound.

    It is called in a thread of its own and waited for: the test's thread may have been interrupted anywhere, also
    inside one of our own calls.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGALRM)
    if not callable(handler):
        return

    def fire(number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        try:
            handler(number, frame)  # which returns if it finds a debugger at work
        except BaseException:
            helper = threading.Thread(target=end, name="netfault-heal", daemon=True)
            helper.start()
            helper.join(_HEAL_SECONDS)
            raise

    signal.signal(signal.SIGALRM, fire)
