"""The thread on which links live: when it starts, how it ends, and what a fork makes of it.

Rules of this file:

* The thread belongs to one :class:`ProxyThread`; ending it closes every link that it serves, whatever has happened.
* A crash is kept, and raised by every call that comes later. Nobody waits for a thread that is gone.
* A fork finds nothing half done. The child closes its copies of every descriptor, and touches nothing that the parent
  uses; what it asks of a link is answered as after close.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import TypeVar

import trio

from pytest_netfault.proxy.engine import Engine, EngineStopped
from pytest_netfault.proxy.link import ProxyLink

__all__ = ["NetFaultClosed", "ProxyThread"]

T = TypeVar("T")

# Ending the thread takes a millisecond. If it takes this long, something is badly wrong, and a stack says what.
_JOIN_SECONDS = 10.0


class NetFaultClosed(RuntimeError):
    """The NetFault, or this link of it, was closed: nothing can be forwarded or broken any more."""

    __module__ = "pytest_netfault"  # where users import it from, and short in a summary


class ProxyThread:
    """The thread on which all links of a session live. Started on first use; ``close()`` ends it."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._links: set[ProxyLink] = set()
        self._closed = False

    @property
    def crash(self) -> BaseException | None:
        """What ended the thread before its time, if anything did."""
        return self._engine.crash if self._engine is not None else None

    def engine(self) -> Engine:
        """The running engine; starts the thread if need be.

        Raises:
            NetFaultClosed: it was closed.
        """
        with self._lock:
            if self._closed:
                raise NetFaultClosed("the proxy was closed; open a new NetFault")
            if self._engine is None:
                self._start()
            assert self._engine is not None
            return self._engine

    def _start(self) -> None:
        engine = Engine()
        started = threading.Event()

        def live() -> None:
            try:
                trio.run(engine.run, started.set)
            except BaseException as error:  # noqa: BLE001, RUF100 - raised in the test that asks next
                engine.end(error)
            finally:
                started.set()
                with contextlib.ExitStack() as links:
                    for link in list(self._links):
                        links.callback(link.close)

        self._engine = engine
        self._thread = threading.Thread(target=live, name="netfault-proxy", daemon=True)
        self._thread.start()
        started.wait()
        _threads.add(self)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the proxy's thread.

        Raises:
            NetFaultClosed: the thread was closed.
            RuntimeError: the proxy has crashed; the cause is the crash.
        """
        try:
            return self.engine().call(function)
        except EngineStopped as error:
            self.raise_crash()
            raise NetFaultClosed("the proxy was closed; open a new NetFault") from error

    def raise_crash(self) -> None:
        """Raise what ended the thread before its time, if anything did."""
        if self.crash is not None:
            raise RuntimeError(f"the proxy has crashed: {self.crash!r}") from self.crash

    def add(self, link: ProxyLink) -> None:
        """Take a link into the thread's care."""
        self._links.add(link)
        self.call(link.start)

    def drop(self, link: ProxyLink) -> None:
        """Close a link. Does nothing when the thread has ended, which has closed it."""
        with contextlib.suppress(NetFaultClosed, RuntimeError):
            self.call(link.close)
        self._links.discard(link)

    def close(self) -> None:
        """End the thread and everything on it.

        Raises:
            RuntimeError: it did not end; the message shows where it stands.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._engine is None or self._thread is None:
            return
        self._engine.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_SECONDS)
            self._check_ended(self._thread)
        _threads.discard(self)

    def _check_ended(self, thread: threading.Thread) -> None:
        if thread.is_alive():
            frame = sys._current_frames().get(thread.ident or 0)
            where = "".join(traceback.format_stack(frame)) if frame else "nowhere"
            raise RuntimeError(
                f"the proxy's thread did not end within {_JOIN_SECONDS:g} s; it is at\n{where}"
            )

    def pause(self) -> None:
        """Before a fork: let nothing be half done."""
        if self._engine is not None:
            self._engine.pause()

    def resume(self) -> None:
        """After a fork, in the parent."""
        if self._engine is not None:
            self._engine.resume()

    def forget(self) -> None:
        """In a forked child: the thread is the parent's."""
        self._lock = threading.Lock()
        self._closed = True
        for link in self._links:
            link.forget()
        if self._engine is not None:
            self._engine.forget()


_threads: weakref.WeakSet[ProxyThread] = weakref.WeakSet()


_forking = threading.local()  # the threads that are paused while this thread forks


def _pause_before_fork() -> None:
    # Always in the same order, so that two forks at once do not wait for each other.
    _forking.paused = sorted(_threads, key=id)
    for thread in _forking.paused:
        thread.pause()


def _resume_in_parent() -> None:
    for thread in reversed(_forking.paused):
        thread.resume()


def _forget_in_child() -> None:
    for thread in _forking.paused:
        thread.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_pause_before_fork, after_in_parent=_resume_in_parent, after_in_child=_forget_in_child
    )
