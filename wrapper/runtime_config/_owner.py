"""Which process a store belongs to: its threads and connections do not exist in a child that was forked.

A lock that another thread held at the fork stays locked in the child for ever, so everything that a user can call
checks this before it takes any lock.
"""

from __future__ import annotations

import os

from runtime_config import errors


class Owner:
    """The process that opened a store, or something that belongs to it."""

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = os.getpid()

    @property
    def here(self) -> bool:
        """True in the process that opened the store."""
        return os.getpid() == self.pid

    def check(self) -> None:
        """Raises Closed anywhere else."""
        if os.getpid() != self.pid:
            raise self.error()

    def error(self) -> errors.Closed:
        return errors.Closed(
            f"this store was opened before a fork, by process {self.pid}; open one in each process instead"
        )
