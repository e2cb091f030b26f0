"""When a stream counts as dead. Pure: times in, a decision out.

A quiet stream and a dead one look the same, so after half of `dead_after` without a word we ask (a progress request),
and after the other half without an answer we give the stream up. Whatever arrives counts as a word, but says nothing
about what was delivered: that is the cursor's business alone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

# A stream that the server has not confirmed within this many seconds is opened again.
OPENING = 5.0


class Action(enum.Enum):
    """What to do now."""

    WAIT = "nothing yet"
    ASK = "send a progress request"
    GIVE_UP = "cancel the stream"


@dataclass(frozen=True)
class Pulse:
    """What is known of one stream; times are seconds on any one clock.

    >>> pulse = Pulse(opened=0.0, dead_after=20.0).word(1.0)
    >>> pulse.decide(5.0), pulse.decide(11.0)
    ((<Action.WAIT: 'nothing yet'>, 11.0), (<Action.ASK: 'send a progress request'>, 11.0))
    >>> asked = pulse.ask(11.0)
    >>> asked.decide(12.0)[1], asked.decide(21.0)[0].name
    (21.0, 'GIVE_UP')
    """

    opened: float
    dead_after: float
    heard: float | None = None
    asked: float | None = None

    def word(self, now: float) -> Pulse:
        """Something arrived."""
        return replace(self, heard=now, asked=None)

    def ask(self, now: float) -> Pulse:
        """A progress request was sent."""
        return replace(self, asked=now)

    def decide(self, now: float) -> tuple[Action, float]:
        """What to do at `now`, and when to look again.

        A watchdog that wakes late (a busy machine) asks first, and gives up only half of `dead_after` after asking.
        """
        if self.heard is None:
            due = self.opened + min(OPENING, self.dead_after)
            return (Action.GIVE_UP if now >= due else Action.WAIT), due
        if self.asked is None:
            due = self.heard + self.dead_after / 2
            return (Action.ASK if now >= due else Action.WAIT), due
        due = self.asked + self.dead_after / 2
        return (Action.GIVE_UP if now >= due else Action.WAIT), due
