"""Which descriptors are ready: by ``epoll`` where there is one, otherwise by ``poll``, which every POSIX system has.

::

                     epoll                                    poll
    idle             trio waits for the set's descriptor      the thread waits in poll itself, see below
    cost of a look   what is ready                            all that is registered
    a hang-up        always reported                          always reported; on some systems a FIN is one, too

``poll`` has no descriptor that trio could wait for. But the proxy's thread is its own, and who wants something of it
wakes it through a socket that is registered here. So it waits in ``poll`` itself, until the next deadline of trio's
tasks at most. Only a name that is being looked up ends in a thread of trio's, which does not wake it: meanwhile it
looks after trio every few milliseconds.
"""

from __future__ import annotations

import functools
import select
from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from pytest_netfault.common import system

__all__ = ["PEER_ENDED", "READ", "TROUBLE", "WRITE", "EpollPoller", "PollPoller", "Poller", "make_poller"]

_HAS_EPOLL = system.LINUX and hasattr(select, "epoll")

READ: int = select.EPOLLIN if _HAS_EPOLL else select.POLLIN
WRITE: int = select.EPOLLOUT if _HAS_EPOLL else select.POLLOUT
TROUBLE: int = select.EPOLLHUP | select.EPOLLERR if _HAS_EPOLL else select.POLLHUP | select.POLLERR
# The peer has ended its side, of a socket that is never read; 0 where only a look at what can be read tells.
PEER_ENDED: int = select.EPOLLRDHUP if _HAS_EPOLL else 0

# How often the thread looks after trio while a name is being looked up.
_LOOK_UP_SECONDS = 0.005
# Nothing waits longer in one go: ``poll`` counts in milliseconds and an int.
_LONGEST = 1000.0


class Poller(Protocol):
    """A set of descriptors with what is waited for on each. Used by one thread, which is trio's."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def register(self, fd: int, mask: int, /) -> None:
        """Watch a descriptor. Errors and hang-ups are reported whatever ``mask`` says."""

    def modify(self, fd: int, mask: int, /) -> None:
        """Watch it for something else."""

    def unregister(self, fd: int, /) -> None:
        """Watch it no more. Must come before the descriptor is closed."""

    def take(self, most: int, /) -> list[tuple[int, int]]:
        """Descriptors that are ready now, with what for: at most so many, and none of them is always passed over."""

    def linger(self, seconds: float) -> bool:
        """Wait so long at most, and keep the thread; whether something is ready then."""

    async def wait(self, seconds: float) -> None:
        """Wait so long at most, and let trio's other tasks have the thread meanwhile. May return too early."""

    def close(self) -> None:
        """Let go of the set, not of the descriptors in it. Idempotent."""


def make_poller() -> Poller:
    """The best that this system has."""
    return EpollPoller() if _HAS_EPOLL else PollPoller()


class EpollPoller:
    """See the module."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # Without a method of ours between: they are called for each message.
        self.register = self._epoll.register
        self.modify = self._epoll.modify
        self.unregister = self._epoll.unregister
        self.take: Callable[[int], list[tuple[int, int]]] = functools.partial(self._epoll.poll, 0)
        self.close = self._epoll.close

    @property
    def closed(self) -> bool:
        return self._epoll.closed

    def linger(self, seconds: float) -> bool:
        return bool(self._epoll.poll(seconds, 1))

    async def wait(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await trio.lowlevel.wait_readable(self._epoll.fileno())


class PollPoller:
    """See the module."""

    def __init__(self) -> None:
        # Imported here because it costs as much as trio itself.
        from trio.testing import wait_all_tasks_blocked

        self._others_wait = wait_all_tasks_blocked
        self.closed = False
        self._poll = select.poll()
        # What the last look has found and nobody has taken yet. Another look comes only when all of it was taken, or
        # the first descriptors would be served for ever before the last ones.
        self._found: deque[tuple[int, int]] = deque()

    def register(self, fd: int, mask: int, /) -> None:
        self._poll.register(fd, _asked(mask))

    def modify(self, fd: int, mask: int, /) -> None:
        self._poll.modify(fd, _asked(mask))

    def unregister(self, fd: int, /) -> None:
        self._poll.unregister(fd)

    def take(self, most: int, /) -> list[tuple[int, int]]:
        found = self._found
        if not found:
            found.extend(self._poll.poll(0))
        return [found.popleft() for _ in range(min(most, len(found)))]

    def linger(self, seconds: float) -> bool:
        if not self._found:
            self._found.extend(self._poll.poll(min(seconds, _LONGEST) * 1000))
        return bool(self._found)

    async def wait(self, seconds: float) -> None:
        await self._others_wait()
        about_trio = trio.lowlevel.current_statistics()
        if trio.to_thread.current_default_thread_limiter().borrowed_tokens:
            seconds = min(seconds, _LOOK_UP_SECONDS)
        self.linger(max(0.0, min(seconds, about_trio.seconds_to_next_deadline)))

    def close(self) -> None:
        self.closed = True
        self._found.clear()


def _asked(mask: int) -> int:
    """What ``poll`` is asked for: some systems report a hang-up only of what is watched for something."""
    return mask or select.POLLHUP
