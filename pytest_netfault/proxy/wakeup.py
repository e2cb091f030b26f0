"""How another thread wakes the proxy's thread, and when that one has to wake by itself: a socket pair, and timers."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
from collections.abc import Callable

__all__ = ["Timer", "Timers", "Wakeup"]


class Wakeup:
    """A socket pair: any thread sends, and the proxy's thread, which waits for ``fd``, wakes.

    It takes no lock, so a signal handler may use it while its own thread does. A send may come at any moment, also
    while another thread closes it: whoever is the last to use it closes the sending side.
    """

    def __init__(self) -> None:
        self.closed = False
        self._sending: list[None] = []  # one for each thread that is about to send
        with contextlib.ExitStack() as undo:
            self._wakeup_send, self._wakeup_recv = map(undo.enter_context, socket.socketpair())
            self._wakeup_send.setblocking(False)
            self._wakeup_recv.setblocking(False)
            self.fd = self._wakeup_recv.fileno()
            undo.pop_all()  # nothing has failed

    def wake(self) -> None:
        """Wake the proxy's thread. Never blocks; does nothing after close."""
        self._sending.append(None)
        try:
            if not self.closed:
                self._wakeup_send.send(b"!")
        except BlockingIOError:  # as many wait already as the socket holds: the thread will come
            pass
        except (BrokenPipeError, ConnectionResetError):  # it has just ended
            pass
        finally:
            self._sending.pop()
            if self.closed and not self._sending:
                self._wakeup_send.close()

    def drain(self) -> None:
        """On the proxy's thread: it is awake."""
        with contextlib.suppress(BlockingIOError):
            self._wakeup_recv.recv(4096)

    def close(self) -> None:
        """Close it. Idempotent."""
        self.closed = True
        self._wakeup_recv.close()
        if not self._sending:
            self._wakeup_send.close()


class Timer:
    """A callback at a time. ``cancel()`` is cheap and may come late."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call back."""
        self.callback = None


class Timers:
    """The timers that are set.

    >>> timers, called = Timers(), []
    >>> _, late = timers.add(1.0, lambda: called.append(1)), timers.add(2.0, lambda: called.append(2))
    >>> timers.run(1.5), called, timers.next_at()
    (True, [1], 2.0)
    >>> late.cancel()
    >>> timers.next_at()
    inf
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def add(self, when: float, callback: Callable[[], None]) -> Timer:
        """Set one."""
        timer = Timer(when, callback)
        heapq.heappush(self._heap, (when, next(self._count), timer))
        return timer

    def run(self, now: float) -> bool:
        """Call back those that are due; False if none was."""
        heap = self._heap
        if not heap or heap[0][0] > now:
            return False
        while heap and heap[0][0] <= now:
            callback = heapq.heappop(heap)[2].callback
            if callback is not None:
                callback()
        return True

    def next_at(self) -> float:
        """When the next one is due; infinity if there is none."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")
