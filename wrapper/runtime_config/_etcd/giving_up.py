"""A call whose caller may stop waiting for it, as a cancelled coroutine does: then nothing more is sent for it.

What a call does between two attempts is asked here. A request that is under way ends by itself, at its deadline at the
latest.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

#: Set once nobody waits for the calls of this context any more; None where that cannot happen.
GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("runtime_config_given_up", default=None)


class GivenUp(Exception):
    """Nobody waits for this call any more, and nothing more was sent for it. Never seen by a user."""


def check_wanted() -> None:
    """Raises GivenUp once nobody waits for the current call."""
    event = GIVEN_UP.get()
    if event is not None and event.is_set():
        raise GivenUp


def pause(seconds: float) -> None:
    """Wait between two attempts. Raises GivenUp as soon as nobody waits for the call."""
    event = GIVEN_UP.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise GivenUp
