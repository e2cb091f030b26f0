"""How long anything may take: a deadline for a proof, and a bound for each call of what belongs to somebody else.

No client and no server of the user's is called without a bound. A call that does not return is named in one sentence,
and is abandoned on its thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_netfault.proof.calls import Caller

__all__ = ["CALL_SECONDS", "NO_DEADLINE", "Deadline", "DidNotReturn", "Recallable", "ask"]

# Generous, because it is no promise to anybody: it only keeps a call that never returns from hanging a run.
CALL_SECONDS = 60.0
# What is under way when the time is up may take a little longer, so that it ends in order.
_GRACE_SECONDS = 2.0
_CLOSING_SECONDS = 1.0


class DidNotReturn(TimeoutError):
    """A call did not return in the time that it had; the message names it."""


@dataclass(frozen=True)
class Deadline:
    """The moment at which a proof must be over.

    Attributes:
        at: ``time.monotonic()``; infinite if there is none.
    """

    at: float = float("inf")

    @property
    def left(self) -> float:
        """Seconds; never below 0."""
        return max(self.at - time.monotonic(), 0.0)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.at

    def within(self, seconds: float) -> float:
        """So many seconds, or what is left."""
        return min(seconds, self.left)

    def for_closing(self, seconds: float) -> float:
        """So many seconds, or what is left, but a moment in any case."""
        return min(seconds, max(self.left, _CLOSING_SECONDS))


NO_DEADLINE = Deadline()


class Recallable(Deadline):
    """A deadline that somebody may bring forward to now.

    Attributes:
        recalled: whether somebody has.
    """

    recalled = False

    def recall(self) -> None:
        """It is over."""
        object.__setattr__(self, "recalled", True)
        self.bring_forward(time.monotonic())

    def bring_forward(self, at: float) -> None:
        """It is over at this ``time.monotonic()``, if it was to be later."""
        object.__setattr__(self, "at", min(self.at, at))


def ask(
    caller: Caller,
    deadline: Deadline,
    what: str,
    function: Callable[..., Any],
    *arguments: Any,
    finish: float = 0.0,
) -> Any:
    """Make a call on the thread of a :class:`Caller`; return what it returns, raise what it raises.

    Args:
        caller: on whose thread.
        deadline: of the proof.
        what: the call, for the message.
        function: what is called.
        arguments: of the call.
        finish: after Ctrl-C, seconds that are waited for the call to return, so that nothing is left half done.

    Raises:
        DidNotReturn: it did not return in time.
    """
    bound = min(CALL_SECONDS, max(deadline.left, _GRACE_SECONDS))
    call = caller.submit(function, *arguments)
    try:
        returned = call.wait(bound)
    except BaseException:
        call.wait(finish)
        raise
    if not returned:
        why = "and max_seconds is over" if deadline.over else "although nothing that it needs was broken"
        raise DidNotReturn(f"{what} did not return within {bound:.3g} s, {why}")
    if call.error is not None:
        raise call.error
    return call.result
