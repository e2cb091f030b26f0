"""The loop of the proxy's one trio thread: which socket is ready, which timer is due, who asks for something.

::

    trio --+-- the engine's own task: poller.wait -> ready sockets -> callbacks: one recv, one send
           |                                      -> timers that are due
           |                                      -> calls from other threads (control)
           +-- a task for the life of each link, with a nursery of its own
                  +-- a task for each name that is being looked up

Why bytes are not carried by trio tasks: a wait in trio costs a system call and a task switch, which are most of what a
small message costs. With a task for each direction, 100 connections reach 30,000 requests a second; with one ``epoll``
set that stays registered, and that trio awaits as a single descriptor, 47,000. So trio has what takes its time: the
lives of links, name look-ups and their limits, cancellation, the order of shutting down. ``poller.py`` has the set, and
what takes its place where there is no ``epoll``.

Rules of this file:

* Callbacks are plain functions on the engine's thread. They never block, so a control call waits for a few
  of them at most: never for data. A task that touches sockets does so in a :meth:`Engine.step`, as a callback would.
* While traffic flows the loop stays with the sockets and lets trio run at least each ``TRIO_SLICE`` seconds, or at once
  when somebody has asked it to :meth:`~Engine.hurry`.
* A callback that raises ends the engine: :attr:`Engine.crash` keeps the exception, and every call that waits
  or comes later gets it. Nothing is swallowed and nothing hangs.
* Calls take no lock that other threads take, see ``calls.py``: a signal handler may call while its thread is in a call.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

from pytest_netfault.proxy.calls import Call, CallQueue
from pytest_netfault.proxy.debug_log import DebugLog
from pytest_netfault.proxy.poller import READ, make_poller
from pytest_netfault.proxy.wakeup import Timer, Timers, Wakeup

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["READ_SIZE", "Engine", "EngineStopped", "Started", "Timer"]

T = TypeVar("T")

# Descriptors handled between two looks at the queue of calls. 8 callbacks with large buffers take about 2 ms.
_BATCH = 8
# The longest that trio's other tasks wait while traffic flows.
TRIO_SLICE = 0.005
# How long the loop lingers after traffic before it goes back to trio. epoll and poll count in milliseconds.
_LINGER = 0.001

# For how long trio has its turn at once when a task was begun or cancelled: many times what such a task needs.
_HURRY = 0.02

# Large reads are most of the speed of a bulk stream: a system call costs about as much as copying 16 KiB.
READ_SIZE = 512 * 1024


class EngineStopped(RuntimeError):
    """The proxy's thread has ended; nothing can be asked of it any more."""


class Started(Protocol):
    """How a task says that it has begun, as ``trio.TaskStatus``."""

    def started(self) -> None:
        """The caller that began the task may continue."""


# More methods than a class of ours should have: it is what threads, tasks and sockets have in common, and each of its
# methods is one of the ways in which they meet.
class Engine:
    """Sockets, timers, calls and tasks on one trio thread. Made anywhere; ``run`` is its life."""

    def __init__(self) -> None:
        self.now = time.monotonic
        self.crash: BaseException | None = None
        self.thread_id: int | None = None
        self.stopped = False
        # What a direction without faults reads into, and sends from before the next one reads: one for all.
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers = Timers()
        self._calls = CallQueue()
        self.debug_log = DebugLog()
        self._busy = threading.RLock()  # held while callbacks run: a fork waits for the end of them
        self._in_step = False
        self._hurry_until = 0.0
        self._stopping = False
        self._nursery: trio.Nursery | None = None
        with contextlib.ExitStack() as undo:
            self._poller = undo.enter_context(contextlib.closing(make_poller()))
            self._wakeup = undo.enter_context(contextlib.closing(Wakeup()))
            self._poller.register(self._wakeup.fd, READ)
            undo.pop_all()  # nothing has failed: it is all kept, until :meth:`end`

    # -- called from other threads ------------------------------------------------------------------------

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the engine's thread and return what it returned, or raise what it raised.

        On the engine's own thread it runs at once, so there it must only look; see :meth:`change`.

        Raises:
            EngineStopped: the engine has ended or ends before the call was made; caused by the crash, if any.
        """
        if self.on_its_thread:
            return function()
        return self._wait_for(self._calls.add(function))

    def change(self, function: Callable[[], None]) -> None:
        """Run a function that changes something, between two steps of the engine.

        Asked in the middle of a step, by a ``__del__`` that the garbage collector ran there or by the code of a custom
        fault, it is run when that step is over. Nothing passes in between.

        Raises:
            EngineStopped: as :meth:`call`.
        """
        if not self.on_its_thread:
            self.call(function)
        elif self._in_step:
            self._calls.add(function)
            self._wakeup.wake()
        else:
            self.step(function)

    def start(self, task: Callable[[Started], Awaitable[None]]) -> None:
        """Start a trio task beside the engine's own; returns once it has said ``started()``.

        It is cancelled when the engine stops. What it raises before it has started is raised here; what it raises
        afterwards ends the engine. On the engine's own thread nobody waits: the task starts when the step is over.

        Raises:
            EngineStopped: as :meth:`call`.
        """
        call: Call[None] = Call(lambda: self._start_soon(task, call), answered_later=True)
        self._calls.append(call)
        if self.on_its_thread:
            self._wakeup.wake()
        else:
            self._wait_for(call)

    def stop(self) -> None:
        """Ask the engine to end. Returns at once; join its thread to wait for it."""
        self._stopping = True
        self._wakeup.wake()

    def _wait_for(self, call: Call[T]) -> T:
        self._wakeup.wake()
        if self.stopped:  # it may have ended in between, and then nobody else takes the call off the queue
            self._calls.refuse(self._gone)
        try:
            return call.answer()
        finally:
            self.debug_log.flush()

    def _gone(self) -> EngineStopped:
        error = EngineStopped("the proxy's thread has ended")
        error.__cause__ = self.crash
        return error

    def pause(self) -> None:
        """Before a fork: let the callbacks that run come to their end, and start no more.

        A socket that one of them has just made would be known to nobody in the child, and stay open there.
        """
        if not self.on_its_thread:
            self._busy.acquire()

    def resume(self) -> None:
        """After a fork, in the parent."""
        if not self.on_its_thread:
            self._busy.release()

    def forget(self) -> None:
        """In a forked child: let go of what only the parent's thread serves.

        An epoll set is shared with the parent, so it is closed here and never changed.
        """
        self._busy = threading.RLock()
        self.stopped = True
        self.thread_id = None
        self.debug_log.forget()
        self._calls.refuse_unanswered(self._gone)  # a signal handler may have forked in the middle of a call
        self._release()

    # -- called on the engine's thread --------------------------------------------------------------------

    @property
    def on_its_thread(self) -> bool:
        """Whether the engine's thread asks."""
        return threading.get_ident() == self.thread_id

    def register(self, fd: int, mask: int, handler: Callable[[int], None]) -> None:
        """Call ``handler(ready)`` whenever the descriptor is ready for something in ``mask``."""
        self._poller.register(fd, mask)
        self._handlers[fd] = handler

    def modify(self, fd: int, mask: int) -> None:
        """Change what is waited for. Errors and hang-ups are always reported."""
        self._poller.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        """Stop watching a descriptor. Must come before it is closed."""
        if self._handlers.pop(fd, None) is not None and not self._poller.closed:
            self._poller.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back once ``when`` (of :attr:`now`) has come."""
        return self._timers.add(when, callback)

    def step(self, function: Callable[[], T]) -> T:
        """From a task: do what callbacks do, so that a fork or a call finds it done or not begun."""
        with self._busy:
            before, self._in_step = self._in_step, True
            try:
                return function()
            finally:
                self._in_step = before

    def hurry(self) -> None:
        """A task has something to do at once: go back to trio after each turn for a moment, whatever traffic flows."""
        self._hurry_until = self.now() + _HURRY

    # -- its life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until :meth:`stop`. What its tasks own is released before it ends, its own descriptors at last."""
        self.thread_id = threading.get_ident()
        try:
            async with trio.open_nursery() as self._nursery:
                await self._serve()
                self._nursery.cancel_scope.cancel()
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.crash = self.crash or error
            raise
        finally:
            self._nursery = None
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Release everything, and fail all waiting calls. ``error`` is what ended the engine before it could serve."""
        self.crash = self.crash or error
        self.stopped = True
        self.debug_log.end(wait=threading.get_ident() != self.thread_id)
        self.thread_id = None  # the system gives the number to another thread
        self._calls.refuse(self._gone)
        self._release()

    def _release(self) -> None:
        self._poller.close()
        self._wakeup.close()
        self.buffer = memoryview(b"")  # a NetFault may be looked at long after its end

    def _start_soon(self, task: Callable[[Started], Awaitable[None]], call: Call[None]) -> None:
        assert self._nursery is not None, "the engine is running"
        self._nursery.start_soon(self._started, task, call)
        self.hurry()

    async def _started(self, task: Callable[[Started], Awaitable[None]], call: Call[None]) -> None:
        nursery = self._nursery
        error: BaseException | None = None
        assert nursery is not None, "the engine is running"

        async def run(*, task_status: Started) -> None:
            await task(task_status)

        try:
            await nursery.start(run)
        except trio.Cancelled:
            error = self._gone()
            raise
        except BaseException as caught:  # noqa: BLE001, RUF100 - it belongs to who has started the task
            error = caught
        finally:
            self._calls.finish(call, error)
            del call, error

    async def _serve(self) -> None:
        while not self._stopping:
            await self._poller.wait(max(0.0, self._timers.next_at() - self.now()))
            slice_end = self.now() + TRIO_SLICE
            while self._turn() or not self._idle():
                now = self.now()
                if now >= slice_end or now < self._hurry_until:
                    break
            await trio.lowlevel.checkpoint()

    def _idle(self) -> bool:
        """Linger a moment for the next message; True when there is nothing."""
        now = self.now()
        if self._stopping or now < self._hurry_until:
            return True
        return not self._poller.linger(max(0.0, min(_LINGER, self._timers.next_at() - now)))

    def _turn(self) -> bool:
        return self.step(self._round)

    def _round(self) -> bool:
        """Calls, ready sockets and due timers, once; False when there was none."""
        busy = False
        if self._calls:
            self._calls.run()
            busy = True
        handlers = self._handlers
        wakeup = self._wakeup.fd
        for fd, mask in self._poller.take(_BATCH):
            busy = True
            # An earlier callback of this round may have closed this descriptor, or a new socket may have its
            # number by now: handlers tolerate spurious readiness.
            handler = handlers.get(fd)
            if handler is not None:
                handler(mask)
            elif fd == wakeup:
                self._wakeup.drain()
                self._calls.run()
        return self._timers.run(self.now()) or busy
