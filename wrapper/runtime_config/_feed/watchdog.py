"""Cancels a stream that is dead.

A quiet stream and a dead one look the same, so after half of `dead_after` without a reply a progress request is sent,
and after the other half without an answer the stream is given up. Every reply proves that the stream is alive, and
nothing about what was delivered: that is the cursor's responsibility alone.
"""

from __future__ import annotations

import enum
import threading
import time
from dataclasses import dataclass, replace

from runtime_config._feed.stream import Stream

# A stream that the server has not confirmed within this many seconds is opened again.
OPENING = 5.0


class Action(enum.Enum):
    """What to do now."""

    WAIT = "nothing yet"
    PROBE = "send a progress request"
    GIVE_UP = "cancel the stream"


@dataclass(frozen=True)
class Liveness:
    """What is known of one stream; times are seconds on any one clock. Pure: times in, a decision out.

    >>> stream = Liveness(opened=0.0, dead_after=20.0).replied(1.0)
    >>> stream.decide(5.0), stream.decide(11.0)
    ((<Action.WAIT: 'nothing yet'>, 11.0), (<Action.PROBE: 'send a progress request'>, 11.0))
    >>> probed = stream.probed(11.0)
    >>> probed.decide(12.0)[1], probed.decide(21.0)[0].name
    (21.0, 'GIVE_UP')
    """

    opened: float
    dead_after: float
    last_reply: float | None = None
    last_probe: float | None = None

    def replied(self, now: float) -> Liveness:
        """A reply arrived."""
        return replace(self, last_reply=now, last_probe=None)

    def probed(self, now: float) -> Liveness:
        """A progress request was sent."""
        return replace(self, last_probe=now)

    def decide(self, now: float) -> tuple[Action, float]:
        """What to do at `now`, and when to decide again.

        A watchdog that wakes late (on a busy machine) probes first, and gives up only half of `dead_after` later.
        """
        if self.last_reply is None:
            due = self.opened + min(OPENING, self.dead_after)
            return (Action.GIVE_UP if now >= due else Action.WAIT), due
        if self.last_probe is None:
            due = self.last_reply + self.dead_after / 2
            return (Action.PROBE if now >= due else Action.WAIT), due
        due = self.last_probe + self.dead_after / 2
        return (Action.GIVE_UP if now >= due else Action.WAIT), due


class Watchdog:
    """A thread that carries out what `Liveness` decides about the feed's current stream."""

    def __init__(self, dead_after: float) -> None:
        self._dead_after = dead_after
        self._changed = threading.Condition()
        self._stream: Stream | None = None
        self._liveness = Liveness(0.0, dead_after)
        self._stopped = False
        self.gave_up = False
        self._thread = threading.Thread(target=self._run, name="runtime-config-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def guard(self, stream: Stream) -> None:
        """Watch this stream from now on, instead of any other."""
        with self._changed:
            self._stream, self.gave_up = stream, False
            self._liveness = Liveness(time.monotonic(), self._dead_after)
            self._changed.notify()

    def replied(self) -> None:
        """A reply arrived. The thread is not woken: it finds out when it decides next."""
        now = time.monotonic()
        with self._changed:
            first = self._liveness.last_reply is None
            self._liveness = self._liveness.replied(now)
            if first:
                self._changed.notify()

    def release(self) -> None:
        """The stream ended; there is nothing to watch."""
        with self._changed:
            self._stream = None

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                if self._stream is None:
                    self._changed.wait()
                    continue
                now = time.monotonic()
                action, due = self._liveness.decide(now)
                if action is Action.WAIT:
                    self._changed.wait(max(0.001, due - now))
                elif action is Action.PROBE:
                    self._liveness = self._liveness.probed(now)
                    self._stream.request_progress()
                else:
                    self.gave_up = True
                    stream, self._stream = self._stream, None
                    stream.cancel()

    def stop(self, seconds: float) -> None:
        """End the thread; wait for it at most `seconds`."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)
