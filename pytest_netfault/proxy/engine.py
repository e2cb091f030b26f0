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
* Calls take no lock that other threads take, see ``calls.py``: a signal handler may call while its thread is in a call.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from pytest_netfault.proxy.calls import CallQueue
from pytest_netfault.proxy.debug_log import DebugLog

__all__ = ["PEER_ENDED", "READ", "READ_SIZE", "TROUBLE", "WRITE", "Engine", "EngineStopped", "Timer"]

T = TypeVar("T")

# Descriptors handled between two looks at the queue of calls. 8 callbacks with large buffers take about 2 ms.
_BATCH = 8
# The longest that trio's other tasks wait while traffic flows.
TRIO_SLICE = 0.005
# How long the loop lingers in epoll after traffic before it goes back to trio. epoll counts in milliseconds.
_LINGER = 0.001

# Large reads are most of the speed of a bulk stream: a system call costs about as much as copying 16 KiB.
READ_SIZE = 512 * 1024

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
        self._calls = CallQueue()
        self.debug_log = DebugLog()
        self._ringing: list[None] = []  # one for each thread that is about to use the bell
        self._busy = threading.RLock()  # held while callbacks run: a fork waits for the end of them
        self._in_step = False
        # What a direction without faults reads into, and sends from before the next one reads: one for all.
        self.buffer = bytearray(READ_SIZE)
        self.view = memoryview(self.buffer)
        self._stopping = False
        self.stopped = False
        self._nursery: trio.Nursery | None = None
        with contextlib.ExitStack() as undo:
            self._epoll = undo.enter_context(contextlib.closing(select.epoll()))
            self._bell, self._ear = map(undo.enter_context, socket.socketpair())
            self._bell.setblocking(False)
            self._ear.setblocking(False)
            self._epoll.register(self._ear.fileno(), READ)
            undo.pop_all()  # nothing has failed: it is all kept, until :meth:`end`

    # -- called from other threads ------------------------------------------------------------------------

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the engine's thread and return what it returned, or raise what it raised.

        On the engine's own thread it runs at once, so there it must only look; see :meth:`change`.

        Raises:
            EngineStopped: the engine has ended or ends before the call was made; caused by the crash, if any.
        """
        if threading.get_ident() == self.thread_id:
            return function()
        call = self._calls.add(function)
        self._ring()
        if self.stopped:  # it may have ended in between, and then nobody else takes the call off the queue
            self._calls.refuse(self._gone)
        try:
            return call.answer()
        finally:
            self.debug_log.flush()

    def change(self, function: Callable[[], None]) -> None:
        """Run a function that changes something, between two steps of the engine.

        Asked in the middle of a step, by a ``__del__`` that the garbage collector ran there or by the code of a custom
        fault, it is run when that step is over. Nothing passes in between.

        Raises:
            EngineStopped: as :meth:`call`.
        """
        if threading.get_ident() != self.thread_id:
            self.call(function)
        elif self._in_step:
            self._calls.add(function)
            self._ring()
        else:
            with self._busy:
                function()

    def stop(self) -> None:
        """Ask the engine to end. Returns at once; join its thread to wait for it."""
        self._stopping = True
        self._ring()

    def _ring(self) -> None:
        self._ringing.append(None)
        try:
            if not self.stopped:
                self._bell.send(b"!")
        except BlockingIOError:  # a thousand rings wait already: the engine will come
            pass
        except (BrokenPipeError, ConnectionResetError):  # it has just ended
            pass
        finally:
            self._ringing.pop()
            if self.stopped and not self._ringing:
                self._bell.close()

    def _gone(self) -> EngineStopped:
        error = EngineStopped("the proxy's thread has ended")
        error.__cause__ = self.crash
        return error

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
        self._busy = threading.RLock()
        self.stopped = True
        self.thread_id = None
        self.debug_log.forget()
        self._calls.refuse_unanswered(self._gone)  # a signal handler may have forked in the middle of a call
        self._release()

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

    async def run(self) -> None:
        """Serve until :meth:`stop`. Closes its own descriptors; those of links are their owners'."""
        self.thread_id = threading.get_ident()
        try:
            async with trio.open_nursery() as self._nursery:
                await self._serve()
                self._nursery.cancel_scope.cancel()
        finally:
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Let go of everything, and fail whoever waits. ``error`` is what ended the engine before it could serve."""
        self.crash = self.crash or error
        self.stopped = True
        self.debug_log.end(wait=threading.get_ident() != self.thread_id)
        self.thread_id = None  # the system gives the number to another thread
        self._calls.refuse(self._gone)
        self._release()

    def _release(self) -> None:
        self._epoll.close()
        self._ear.close()
        self.buffer, self.view = (
            bytearray(),
            memoryview(b""),
        )  # a NetFault may be looked at long after its end
        if not self._ringing:  # or whoever is last with the bell closes it
            self._bell.close()

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
            self._in_step = True
            try:
                return self._round()
            finally:
                self._in_step = False

    def _round(self) -> bool:
        """Calls, ready sockets and due timers, once; False when there was none."""
        busy = False
        if self._calls:
            self._calls.run()
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
        self._calls.run()

    def _until_next_timer(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return float("inf")
        return max(0.0, self._timers[0][0] - self.now())
