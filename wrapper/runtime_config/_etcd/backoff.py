"""How long to wait before the next attempt. Pure: the caller supplies the randomness and does the waiting.

Jitter (each wait is uniform between a tenth and the whole of the bound) keeps a fleet of services from reconnecting
in step. The first wait is short because most interruptions are; the bound stays at a second
because a store that is reachable again should be noticed within about that time, and one attempt per second costs
a server nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST = 0.05
LARGEST = 1.0
# A connection that lived this long was a good one: after it the waits start from the beginning.
GOOD_AFTER = 10.0


@dataclass(frozen=True)
class Backoff:
    """The state between two failures: `delay` is the wait for this failure, `failed` and `after` give the
    next state.

    >>> bounds = [Backoff()]
    >>> for _ in range(6): bounds.append(bounds[-1].failed())
    >>> [state.bound for state in bounds]
    [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    """

    failures: int = 0

    @property
    def bound(self) -> float:
        return min(LARGEST, FIRST * float(2 ** min(self.failures, 30)))

    def delay(self, random: Callable[[], float]) -> float:
        """Seconds to wait; `random` gives a number from 0 to 1."""
        return self.bound * (0.1 + 0.9 * random())

    def failed(self) -> Backoff:
        return Backoff(self.failures + 1)

    def after(self, lived: float, moved: bool) -> Backoff:
        """The state after a connection that lived for `lived` seconds; `moved` says whether it carried any change."""
        return Backoff() if moved or lived >= GOOD_AFTER else self.failed()
