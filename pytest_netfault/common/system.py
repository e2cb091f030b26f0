"""What of this system may be used beyond what every POSIX system has.

On Linux much is done better with what only Linux has: ``epoll``, socket filters, a parent-death signal, ``/proc``.
Everywhere else, and on Linux under ``NETFAULT_PORTABLE=1``, which is for trying it, the portable way is taken.
"""

from __future__ import annotations

import os
import sys

__all__ = ["LINUX", "cores"]

#: Whether calls that only Linux has are used. Decided once, when this process starts.
LINUX: bool = sys.platform == "linux" and os.environ.get("NETFAULT_PORTABLE", "") in ("", "0")


def cores() -> int:
    """How many processors this process may use; where the system does not say, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
