"""When the garbage collector may run finalizers of what clients under test have left behind.

A client that was closed is often a graph of objects with cycles: tasks, connections, callbacks. The collector finalizes
it at any moment, and finalizers run Python code: asyncio's tasks log their traceback, which parses source. If that
happens while pytest or Hypothesis parses source for a traceback of its own, CPython 3.11 raises SystemError ("AST
constructor recursion depth mismatch", python/cpython#106905 and related issues), and the session ends.

A collector that was disabled before stays disabled.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from types import TracebackType

__all__ = ["CollectAfterFailure", "collector_paused"]


class CollectAfterFailure:
    """A context manager that collects garbage if its block raises, before anybody parses source for a traceback.

    With 50,000 objects that took 0.1 s on a busy machine, after a play of as long at least.
    """

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            gc.collect()


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Disable the collector inside a block, such as while a traceback is made from source."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
