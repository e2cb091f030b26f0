"""When a run ends, as a decision without a clock.

Everything is healed. From now on all that the log has is expected to be delivered, and the run ends

* as soon as everything has arrived, one last write included that is made to see that the subscriber is still alive;
* as soon as a guarantee is broken: nothing that may still come could mend it;
* ``settle`` seconds after the last progress. What is missing then is lost.

While something is missing and nothing comes, a few more last writes are made: a subscriber that has come back, but at a
later place, is caught by the first of them that is delivered to it, and nobody needs to wait for ``settle``.

There is no clock here: times are arguments. Progress is a change that was expected and has arrived. What
comes besides is none: a client that repeats itself for ever must not be waited for for ever. Silence is waited for in
short pieces, and a piece that took much longer than it was meant to counts for what it was meant to: a machine that
stood still has kept the subscriber from its work as well, and that is nothing to blame it for. For the same reason it
is asked, before silence is taken for a loss, how long somebody with work to do got no processor: that was no silence.

>>> ending = Ending(Timeouts(settle=5, last_writes=(0.25,)), now=0.0)
>>> ending.decide(now=0.0, arrived=1, missing=1, broken=False)
Wait(seconds=0.25)
>>> ending.decide(now=0.25, arrived=1, missing=1, broken=False)
LastWrite()
>>> ending.decide(now=0.3, arrived=3, missing=0, broken=False)
Conclude(quiet=True)
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_netfault.proof.contract import Timeouts

__all__ = ["Account", "Conclude", "Ending", "LastWrite", "Wait"]

# Of ``settle``, so much is waited at a time, and so much more may a piece take before the rest of it does not count;
# but no more than so many seconds.
_PIECE, _LONGEST_PIECE = 0.05, 1.0
_SPARE, _MOST_SPARE = 0.02, 0.1
# After so much of ``settle`` in silence it is counted how long somebody got no processor; most runs end before. Less
# than so much of it is not worth waiting for again; and so many times ``settle``, but no more than so many seconds, are
# waited for in all because of it.
_COUNTED_FROM = 0.1
_LITTLE_STARVED = 0.1
_TIMES_STARVED, _MOST_STARVED = 10.0, 60.0
# Seconds that nobody waits for: pieces add up to the whole only nearly.
_INSTANT = 1e-6


@dataclass(frozen=True)
class Wait:
    """Wait for a delivery, at most this long, and ask again."""

    seconds: float


@dataclass(frozen=True)
class LastWrite:
    """Make one more write past the link, and ask again."""


@dataclass(frozen=True)
class Account:
    """Tell `Ending.account` how long somebody got no processor since the last time, 0 the first time, and ask again."""


@dataclass(frozen=True)
class Conclude:
    """The run is over; ``quiet`` says whether a missing tail counts as lost."""

    quiet: bool


class Ending:
    """Decides, again and again, what to do next at the end of a run.

    Args:
        timeouts: how long a subscriber is waited for.
        now: the time.
        confirm: whether one more last write is made when the first has arrived: the first may show that the subscriber
            is back, and another that it stays.
    """

    def __init__(self, timeouts: Timeouts, *, now: float, confirm: bool = False) -> None:
        self._settle = timeouts.settle
        self._last_writes = list(timeouts.last_writes)
        self._asked_at = now
        self._meant = 0.0
        self._silence = 0.0
        self._arrived = 0
        self._items: int | None = None
        self._wrote = False
        self._confirm = confirm
        self._counting = self._accounted = False
        self._excused = min(self._settle * _TIMES_STARVED, _MOST_STARVED)

    def account(self, starved: float) -> None:
        """Take so many seconds, since the last `Account`, for what they were: no silence."""
        if not self._counting:
            self._counting = True
            return
        excused = min(starved, self._silence, self._excused)
        self._accounted = excused < self._settle * _LITTLE_STARVED
        if not self._accounted:
            self._excused -= excused
            self._silence -= excused

    def decide(
        self, *, now: float, arrived: int, missing: int, broken: bool, items: int | None = None
    ) -> Wait | LastWrite | Account | Conclude:
        """What to do next.

        Args:
            now: the time.
            arrived: how many changes are not missing.
            missing: how many of the expected changes have not arrived.
            broken: whether a guarantee is.
            items: how many deliveries there were. Where a client may skip values, a last write supersedes the one
                before, which is missing no more; that is no progress, because nothing was delivered.
        """
        self._silence += min(now - self._asked_at, self._meant + min(self._settle * _SPARE, _MOST_SPARE))
        self._asked_at, self._meant = now, 0.0
        if self._items is None:
            self._items = items
        if arrived > self._arrived and (items is None or self._items is None or items > self._items):
            self._arrived, self._items, self._silence, self._accounted = arrived, items, 0.0, False
        if broken:
            return Conclude(quiet=False)
        if not missing:
            if self._wrote and not self._confirm:
                return Conclude(quiet=True)
            self._confirm = self._confirm and not self._wrote
            self._wrote = True
            return LastWrite()
        silence = self._silence + _INSTANT
        if silence >= self._settle * _COUNTED_FROM and not self._counting:
            return Account()
        if silence >= self._settle:
            return Conclude(quiet=True) if self._accounted else Account()
        if self._last_writes and silence >= self._last_writes[0]:
            del self._last_writes[0]
            self._wrote = True
            return LastWrite()
        self._meant = min([self._settle, *self._last_writes[:1]]) - self._silence
        self._meant = min(self._meant, self._settle * _PIECE, _LONGEST_PIECE)
        return Wait(self._meant)
