"""The thread on which links live: when it starts, how it ends, and what a fork makes of it.

Rules of this file:

* The thread belongs to one :class:`ProxyThread`; ending it closes every link that it serves, whatever has happened.
* A start may fail or be interrupted at any point: what it has left is undone, by the next call at the latest.
* A crash is kept, and raised by every call that comes later. Nobody waits for a thread that is gone.
* A fork finds nothing half done. The child closes its copies of every descriptor, and touches nothing that the parent
  uses; what it asks of a link is answered as after close.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import trio

from pytest_netfault.common.printable import printable
from pytest_netfault.proxy.addresses import Address, TcpAddress
from pytest_netfault.proxy.calls import Moment
from pytest_netfault.proxy.engine import Engine, EngineStopped, Started
from pytest_netfault.proxy.link import ProxyLink
from pytest_netfault.proxy.undisturbed import ends_within, forget_undisturbed, undisturbed
from pytest_netfault.proxy.upstream import Upstream

__all__ = ["NetFaultClosed", "ProxyThread", "crash_error"]

T = TypeVar("T")

# Ending the thread takes a millisecond. If it takes this long, something is badly wrong, and a stack says what.
_JOIN_SECONDS = 10.0
# How long one wait for it takes at most.
_WAIT_SECONDS = 0.05


class NetFaultClosed(RuntimeError):
    """The NetFault, or this link of it, was closed: nothing can be forwarded or broken any more."""

    __module__ = "pytest_netfault"  # where users import it from, and short in a summary


def crash_error(crash: BaseException) -> RuntimeError:
    """What to raise, from the crash, where the proxy's thread has ended before its time.

    >>> crash_error(ZeroDivisionError("division by zero"))
    RuntimeError("the proxy has crashed: ZeroDivisionError('division by zero')")
    """
    # trio raises groups; a group of one is that one.
    inner: tuple[BaseException, ...] = getattr(crash, "exceptions", ())
    return crash_error(inner[0]) if len(inner) == 1 else RuntimeError(f"the proxy has crashed: {crash!r}")


class _Life:
    """One run of an engine on a thread of its own.

    The thread refers to the engine and to the links, and not to the :class:`ProxyThread`: who lets go of that one ends
    the thread.
    """

    def __init__(self, links: set[ProxyLink]) -> None:
        self.engine = Engine()
        self.serving = False  # the start came to its end
        # Whoever comes first decides, in one step: the thread, that it serves, or a start that has failed, that it
        # never will.
        self._decided: dict[str, bool] = {}
        self._served = Moment()
        try:
            self.thread = threading.Thread(
                target=_serve,
                args=(self.engine, self._decided, self._served, links),
                name="netfault-proxy",
                daemon=True,
            )
        except BaseException:
            self.engine.end(None)
            raise

    def start(self) -> None:
        """Start the thread. Calls need not wait for it; they wait in the engine's queue."""
        undisturbed(self.thread.start)
        self.serving = True

    def end(self) -> None:
        """End it, wherever its start or an earlier end has come to."""
        serves = self._decided.setdefault("serves", self.serving)
        self.engine.stop()
        if threading.get_ident() == self.thread.ident:
            return
        deadline = time.monotonic() + _JOIN_SECONDS
        # In short waits: a signal handler may end it too, and be the one whom the announcement wakes.
        while serves and not self._served.wait(_WAIT_SECONDS) and time.monotonic() < deadline:
            pass
        if not ends_within(self.thread, deadline - time.monotonic()):
            raise RuntimeError(self._still_there())
        self.engine.end(None)  # which a thread that has served has done

    def forget(self) -> None:
        """In a forked child: the thread does not exist."""
        self.engine.forget()
        self._served.announce()

    def _still_there(self) -> str:
        frame = sys._current_frames().get(self.thread.ident or 0)
        where = "".join(traceback.format_stack(frame)) if frame else "nowhere"
        return f"the proxy's thread did not end within {_JOIN_SECONDS:g} s; it is at\n{where}"


def _serve(engine: Engine, decided: dict[str, bool], served: Moment, links: set[ProxyLink]) -> None:
    """What the thread does."""
    if not decided.setdefault("serves", True):
        return
    try:
        trio.run(engine.run)
    except BaseException as error:  # noqa: BLE001, RUF100 - raised in the test that asks next
        engine.end(error)
    finally:
        with contextlib.ExitStack() as closing:
            closing.callback(served.announce)
            for link in list(links):
                closing.callback(link.raise_failure)
                closing.callback(link.close)  # one that was never begun; the others ended with their tasks


class ProxyThread:
    """The thread on which links live: a trio run, with a task for each link. Several :class:`.NetFault` may share one.

    It starts on first use and ends with :meth:`close`, which ends every link. One that is dropped without ``close()``
    ends as well, with a ``ResourceWarning``. All methods may be called from any thread.

    >>> import threading
    >>> from pytest_netfault.control import ProxyThread
    >>> thread = ProxyThread()
    >>> thread.call(lambda: threading.current_thread().name)
    'netfault-proxy'
    >>> thread.close()
    """

    def __init__(self) -> None:
        self._life: _Life | None = None
        # A signal handler may come here in the middle of a start by the same thread: it must not wait for itself.
        self._lock = threading.RLock()
        self._starting = False
        self._links: set[ProxyLink] = set()
        self._closed = False
        self._crash_reported = False

    @property
    def crash(self) -> BaseException | None:
        """What ended the thread before its time, if anything did."""
        return self._life.engine.crash if self._life is not None else None

    def engine(self) -> Engine:
        """The engine; starts the thread if need be.

        Raises:
            NetFaultClosed: it was closed.
            RuntimeError: the thread cannot be started, or is just being started by what a signal handler has
                interrupted. The next call tries again.
        """
        life = self._life
        if life is not None and life.serving and not self._closed:
            return life.engine
        with self._lock:
            self._check_open()
            if self._life is None or not self._life.serving:
                self._start()
            self._check_open()  # a signal handler may have closed it meanwhile
            assert self._life is not None
            return self._life.engine

    def _check_open(self) -> None:
        if self._closed:
            raise NetFaultClosed("the proxy was closed; open a new NetFault")

    def _start(self) -> None:
        if self._starting:
            raise RuntimeError(
                "the proxy is just being started by the code that this signal handler has interrupted; "
                "forward before the handler is installed, or from the interrupted code"
            )
        try:
            self._starting = True
            self._undo_start()  # of one that could not even be undone
            self._life = _Life(self._links)
            _threads[id(self)] = weakref.ref(self)
            self._life.start()
        except BaseException:
            self._undo_start()
            raise
        finally:
            self._starting = False

    def _undo_start(self) -> None:
        life = self._life
        if life is not None:
            life.end()
            self._life = None

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the proxy's thread and return what it returns, or raise what it raises.

        It must only look. It waits for at most a few callbacks of other sockets, never for data.

        Raises:
            NetFaultClosed: the thread was closed.
            RuntimeError: the proxy has crashed; the cause is the crash.
        """
        with self._translated():
            return self.engine().call(function)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """The errors that users see when the engine has ended."""
        try:
            yield
        except EngineStopped as error:
            self.raise_crash()
            raise NetFaultClosed("the proxy was closed; open a new NetFault") from error

    def raise_crash(self) -> None:
        """Raise what ended the thread before its time, if anything did."""
        if self.crash is not None:
            raise crash_error(self.crash) from self.crash

    def unreported_crash(self) -> BaseException | None:
        """The crash, if there was one and nobody has asked before; who gets it has to report it."""
        if self.crash is None or self._crash_reported:
            return None
        self._crash_reported = True
        return self.crash

    def change(self, function: Callable[[], None]) -> None:
        """Run a function that changes something, as one step: nothing passes meanwhile on any link.

        Raises:
            NetFaultClosed, RuntimeError: as :meth:`call`.
        """
        with self._translated():
            self.engine().change(function)

    def look_up(self, listen: Address) -> Address:
        """Where to listen, as an address: a name is looked up by trio, for ``LOOKUP_SECONDS`` at most.

        Raises:
            OSError: the name cannot be resolved.
            NetFaultClosed, RuntimeError: as :meth:`call`.
        """
        names = Upstream(listen, what="listen")
        if names.known is not None:
            return listen
        found: list[tuple[int, Any]] = []

        async def ask(status: Started) -> None:
            found.extend(await names.look_up())
            status.started()

        with self._translated():
            engine = self.engine()
            engine.start(ask)
        if not found:  # on the proxy's own thread, where nobody can wait for it
            raise OSError(errno.EADDRNOTAVAIL, f"listen: {listen} must be an address here, not a name")
        _, (host, port, *scope) = found[0]
        return TcpAddress(f"{host}%{scope[1]}" if any(scope[1:]) else host, port)

    def add(self, link: ProxyLink) -> None:
        """Begin the life of a link; returns once it serves.

        Raises:
            OSError: the name of its upstream cannot be resolved.
            NetFaultClosed, RuntimeError: as :meth:`call`.
        """
        self._links.add(link)
        with self._translated():
            self.engine().start(link.run)

    def drop(self, link: ProxyLink) -> None:
        """Close a link; returns when nothing is left of it. Does nothing after the thread's end, which ends links."""
        ended = Moment()
        with contextlib.suppress(NetFaultClosed, RuntimeError):
            self.change(lambda: link.close(ended))
            if not link.engine.on_its_thread:
                ended.wait()
                link.engine.debug_log.flush()
        self._links.discard(link)
        link.raise_failure()

    def close(self) -> None:
        """End the thread and everything on it. Idempotent: called again after Ctrl-C in the middle of it, it goes on.

        Raises:
            RuntimeError: it did not end; the message shows where it stands.
        """
        self._closed = True
        with self._lock:  # not in the middle of a start by another thread
            if self._life is not None:
                self._life.end()
        _threads.pop(id(self), None)

    def __del__(self) -> None:
        life = self._life
        _threads.pop(id(self), None)
        if self._closed or life is None or life.engine.stopped:
            return
        try:
            warnings.warn(
                f"unclosed NetFault with {self._what()}; write 'with NetFault() as net:', or call net.close()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
        finally:
            life.engine.stop()

    def _what(self) -> str:
        shown = ", ".join(
            sorted(f"{link.name} ({link.listener.address} -> {link.upstream})" for link in self._links)
        )
        return f"open links: {printable(shown)}" if shown else "no open link"

    def pause(self) -> Engine | None:
        """Before a fork: let nothing be half done. Returns what has to be resumed."""
        engine = self._life.engine if self._life is not None else None
        if engine is not None:
            engine.pause()
        return engine

    def forget(self) -> None:
        """In a forked child: the thread is the parent's."""
        self._lock = threading.RLock()
        self._closed = True
        for link in list(self._links):
            link.forget()
        if self._life is not None:
            self._life.forget()


# By identity, so that a snapshot of it is one step; a WeakSet cannot be iterated while another thread adds to it.
_threads: dict[int, weakref.ref[ProxyThread]] = {}

# What is paused while a thread forks. A stack, because a signal handler may fork in the middle of a fork.
_forking = threading.local()


def _pause_before_fork() -> None:
    alive = [thread for reference in list(_threads.values()) if (thread := reference()) is not None]
    # Always in the same order, so that two forks at once do not wait for each other.
    paused = [thread.pause() for thread in sorted(alive, key=id)]
    _forking.__dict__.setdefault("stack", []).append(paused)


def _resume_in_parent() -> None:
    for engine in reversed(_forking.stack.pop()):
        if engine is not None:
            engine.resume()


def _forget_in_child() -> None:
    _forking.stack.clear()
    forget_undisturbed(lambda: NetFaultClosed("the proxy was closed; open a new NetFault"))
    for reference in list(_threads.values()):
        if (thread := reference()) is not None:
            thread.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_pause_before_fork, after_in_parent=_resume_in_parent, after_in_child=_forget_in_child
    )
