"""What is there in this process: threads, sockets, other descriptors and asyncio tasks, without those of the proxy."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from pathlib import Path

from pytest_netfault.control.registry import open_links
from pytest_netfault.storm.play import NOTHING, Remains

__all__ = ["growth", "remains"]

# What a test has let go of ends a little later: threads return, the kernel closes.
_SETTLE_SECONDS = 5.0
_DESCRIPTORS = Path("/proc/self/fd")
# Ours, and those that trio keeps for a while for the next one who needs a thread.
_NOT_OF_TESTS = ("netfault", "Trio thread")


def remains() -> Remains:
    """What is there now. Descriptors are counted on Linux only."""
    threads = tuple(
        thread.name
        for thread in threading.enumerate()
        if thread.is_alive() and not thread.name.startswith(_NOT_OF_TESTS)
    )
    sockets = others = 0
    ours = _ours()
    with contextlib.suppress(OSError):
        for entry in _DESCRIPTORS.iterdir():
            if int(entry.name) in ours:
                continue
            with contextlib.suppress(OSError):  # closed since
                if str(entry.readlink()).startswith("socket:"):
                    sockets += 1
                else:
                    others += 1
    return Remains(threads, sockets, others, _tasks())


def growth(before: Remains, usual: Remains = NOTHING) -> Remains:
    """What is here more than before, once what is about to go has had a few seconds for it.

    Args:
        before: what was there.
        usual: what a play of this test always leaves, which is not waited for.
    """
    grown = remains().beyond(before)
    if not grown.beyond(usual):
        return grown
    gc.collect()
    until = time.monotonic() + _SETTLE_SECONDS
    while (grown := remains().beyond(before)).beyond(usual) and time.monotonic() < until:
        time.sleep(0.01)
    return grown


def _tasks() -> int:
    """Tasks of asyncio that wait on a loop that is not closed."""
    asyncio = sys.modules.get("asyncio")
    task = getattr(asyncio, "Task", None)
    if task is None:
        return 0
    found = [one for one in gc.get_objects() if type(one) is task]
    return sum(not one.done() and not one.get_loop().is_closed() for one in found)


def _ours() -> set[int]:
    found: set[int] = set()
    for link in open_links():

        def look() -> None:
            for connection in list(link._link.connections):  # noqa: B023 - called before the next one
                found.update(end.fd for end in connection._ends())

        with contextlib.suppress(RuntimeError):
            link._thread.call(look)
    return found
