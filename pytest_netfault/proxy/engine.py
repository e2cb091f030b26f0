"""The one trio thread's loop: which socket is ready, which timer is due, who asks for something.

All sockets of all links stand in one ``epoll`` set, which trio awaits as a single descriptor::

    trio -> wait_readable(epoll) -> ready sockets -> callbacks: one recv, one send
                                 -> timers that are due
                                 -> calls from other threads (control)

Why not a trio task for each direction: a wait in trio costs a system call and a task switch each time, and
those are most of what a small message costs. A set that stays registered has neither. Trio keeps what it is
good at: it owns the thread, its clock's waits, name look-ups, cancellation and the order of shutting down.

Rules of this file:

* Callbacks are plain functions on the engine's thread. They never block, so a control call waits for a few
  of them at most: never for data.
* While traffic flows the loop stays in ``epoll`` and lets trio run at least each ``TRIO_SLICE`` seconds.
* A callback that raises ends the engine: :attr:`Engine.crash` keeps the exception, and every call that waits
  or comes later gets it. Nothing is swallowed and nothing hangs.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import trio

__all__ = ["PEER_ENDED", "READ", "TROUBLE", "WRITE", "Engine", "EngineStopped", "Timer"]

T = TypeVar("T")

# Descriptors handled between two looks at the queue of calls. 8 callbacks with large buffers take about 2 ms.
_BATCH = 8
# The longest that trio's other tasks wait while traffic flows.
TRIO_SLICE = 0.005
# How long the loop lingers in epoll after traffic before it goes back to trio. epoll counts in milliseconds.
_LINGER = 0.001

READ = select.EPOLLIN if hasattr(select, "epoll") else 1
WRITE = select.EPOLLOUT if hasattr(select, "epoll") else 4
TROUBLE = (select.EPOLLHUP | select.EPOLLERR) if hasattr(select, "epoll") else 0
# The peer has ended its side: for a socket that is never read.
PEER_ENDED = select.EPOLLRDHUP if hasattr(select, "epoll") else 0


class EngineStopped(RuntimeError):
    """The proxy's thread has ended; nothing can be asked of it any more."""


class Timer:
    """A callback at a time. ``cancel()`` is cheap and may come late."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Engine:
    """Sockets, timers and calls on one trio thread. Made anywhere; ``run`` is its life."""

    def __init__(self) -> None:
        self.now = time.monotonic
        self.crash: BaseException | None = None
        self.thread_id: int | None = None
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._busy = threading.Lock()  # held while callbacks run: a fork waits for the end of them
        self._stopped = False
        self._stopping = False
        self._nursery: trio.Nursery | None = None
        with contextlib.ExitStack() as undo:
            self._epoll = undo.enter_context(contextlib.closing(select.epoll()))
            self._bell, self._ear = undo.enter_context(_pair())
            self._epoll.register(self._ear.fileno(), READ)
            self._undo = undo.pop_all()

    # -- called from other threads ------------------------------------------------------------------------

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the engine's thread and return what it returned, or raise what it raised.

        Raises:
            EngineStopped: the engine has ended or ends before the call was made; caused by the crash, if any.
        """
        if threading.get_ident() == self.thread_id:
            return function()
        future: Future[T] = Future()
        with self._lock:
            if self._stopped:
                raise EngineStopped("the proxy's thread has ended") from self.crash
            self._calls.append((function, future))
            self._ring()
        return future.result()

    def stop(self) -> None:
        """Ask the engine to end. Returns at once; join its thread to wait for it."""
        with self._lock:
            self._stopping = True
            if not self._stopped:
                self._ring()

    def _ring(self) -> None:
        try:
            self._bell.send(b"!")
        except BlockingIOError:  # a thousand rings wait already: the engine will come
            pass

    def pause(self) -> None:
        """Before a fork: let the callbacks that run come to their end, and start no more.

        A socket that one of them has just made would be known to nobody in the child, and stay open there.
        """
        if threading.get_ident() != self.thread_id:
            self._busy.acquire()

    def resume(self) -> None:
        """After a fork, in the parent."""
        if threading.get_ident() != self.thread_id:
            self._busy.release()

    def forget(self) -> None:
        """In a forked child: let go of what only the parent's thread serves.

        The epoll set itself is shared with the parent, so it is closed here and never changed.
        """
        self._lock = threading.Lock()
        self._busy = threading.Lock()
        self._stopped = True
        self._undo.close()

    # -- called on the engine's thread --------------------------------------------------------------------

    def register(self, fd: int, mask: int, handler: Callable[[int], None]) -> None:
        """Call ``handler(ready)`` whenever the descriptor is ready for something in ``mask``."""
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler

    def modify(self, fd: int, mask: int) -> None:
        """Change what is waited for. Errors and hang-ups are always reported."""
        self._epoll.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        """Stop watching a descriptor. Must come before it is closed."""
        if self._handlers.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back once ``when`` (of :attr:`now`) has come."""
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._count), timer))
        return timer

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run a trio task that may wait, such as a name look-up. It is cancelled when the engine stops."""
        assert self._nursery is not None, "the engine is running"
        self._nursery.start_soon(work)

    # -- its life ---------------------------------------------------------------------------------------

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until :meth:`stop`. Closes its own descriptors; those of links are their owners'."""
        self.thread_id = threading.get_ident()
        try:
            async with trio.open_nursery() as self._nursery:
                started()
                await self._serve()
                self._nursery.cancel_scope.cancel()
        finally:
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Let go of everything, and fail whoever waits. ``error`` is what ended the engine before it could serve."""
        self.crash = self.crash or error
        with self._lock:
            self._stopped = True
            self.thread_id = None  # the system gives the number to another thread
            waiting, self._calls = self._calls, deque()
        for _, future in waiting:
            error_for_caller = EngineStopped("the proxy's thread has ended")
            error_for_caller.__cause__ = self.crash
            future.set_exception(error_for_caller)
        self._undo.close()

    async def _serve(self) -> None:
        try:
            while not self._stopping:
                with trio.move_on_after(self._until_next_timer()):
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                slice_end = self.now() + TRIO_SLICE
                while self._turn() or not self._idle():
                    if self.now() >= slice_end:
                        break
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            raise
        except BaseException as error:
            self.crash = error
            raise

    def _idle(self) -> bool:
        """Linger a moment for the next message; True when there is nothing."""
        if self._stopping:
            return True
        return not self._epoll.poll(min(_LINGER, self._until_next_timer()), 1)

    def _turn(self) -> bool:
        with self._busy:
            return self._round()

    def _round(self) -> bool:
        """Calls, ready sockets and due timers, once; False when there was none."""
        busy = False
        if self._calls:
            self._run_calls()
            busy = True
        handlers = self._handlers
        ear = self._ear.fileno()
        for fd, mask in self._epoll.poll(0, _BATCH):
            busy = True
            # An earlier callback of this round may have closed this descriptor, or a new socket may have its
            # number by now: a handler must take a false alarm calmly.
            handler = handlers.get(fd)
            if handler is not None:
                handler(mask)
            elif fd == ear:
                self._hear()
        timers = self._timers
        if timers and timers[0][0] <= (now := self.now()):
            busy = True
            while timers and timers[0][0] <= now:
                callback = heapq.heappop(timers)[2].callback
                if callback is not None:
                    callback()
        return busy

    def _hear(self) -> None:
        try:
            self._ear.recv(4096)
        except BlockingIOError:
            pass
        self._run_calls()

    def _run_calls(self) -> None:
        while self._calls:
            function, future = self._calls.popleft()
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001, RUF100 - it belongs to the caller
                future.set_exception(error)
            else:
                future.set_result(result)

    def _until_next_timer(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return float("inf")
        return max(0.0, self._timers[0][0] - self.now())


@contextlib.contextmanager
def _pair() -> Any:
    bell, ear = socket.socketpair()
    with bell, ear:
        bell.setblocking(False)
        ear.setblocking(False)
        yield bell, ear
