"""What happened while a schedule was played, on one clock.

A :class:`Recording` records deliveries, from whatever thread the client calls its callback, and lets the runner wait
for more. Writes and remarks are frozen records beside it.

* Every record is made at the moment it happens and never changed; ``time`` is ``time.monotonic()`` in seconds.
* A recording that is closed takes nothing any more: a client that calls back after its ``close()`` disturbs nobody.
* A client that floods is bounded. Of equal deliveries that follow one another only the first hundred are kept: another
  one changes no verdict. When a recording is full it takes nothing any more, and a run with a full recording proves
  nothing but what it breaks; its client is not slowed down, for that could make it late.
* Whatever a client delivers that is not a ``Delivery`` is the mistake of whoever wrote the adapter. It is refused
  at the call, and kept, because clients like to swallow what their callbacks raise.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Literal

from pytest_netfault.checks.reading import Outcome
from pytest_netfault.common.printable import represented
from pytest_netfault.faults import Fault
from pytest_netfault.proof.plain import plain, printed_revisions, with_revisions
from pytest_netfault.schedules.steps import Via
from pytest_netfault.store import Delivery

__all__ = [
    "FaultRecord",
    "Outcome",
    "Recording",
    "Remark",
    "ServerState",
    "TimedDelivery",
    "WriteRecord",
]

_KEPT_REPEATS = 100
# No run that is worth anything comes near this; to judge so many takes a tenth of a second.
_MOST = 20_000

ServerState = Literal["paused", "resumed", "compacted"]


@dataclass(frozen=True)
class TimedDelivery:
    """One call of the subscriber's callback."""

    time: float
    delivery: Delivery


@dataclass(frozen=True)
class WriteRecord:
    """One write, and what its caller knows of it.

    Attributes:
        place: the number of its step, from 1; None for a write that ends a run (see ``runner.py``).
        via: which client made it.
        changes: full keys with their new values; None deletes.
        outcome: ``"ok"``, ``"fail"`` (certainly not applied), or ``"info"`` (unknown).
        begun: when the client was called, or None if it never was: an earlier call of it had not returned.
        ended: when it returned, or None if it had not when the run ended.
        error: what it raised, in words.
    """

    place: int | None
    via: Via
    changes: tuple[tuple[str, str | None], ...]
    outcome: Outcome
    begun: float | None
    ended: float | None
    error: str = ""


@dataclass(frozen=True)
class FaultRecord:
    """One fault that came into force.

    Attributes:
        place: the number of its step, from 1.
        fault: what it was.
        met_traffic: whether it touched bytes, an ending or a connection.
        fault_id: its number on the link, which the events of the link name.
    """

    place: int
    fault: Fault
    met_traffic: bool
    fault_id: int


@dataclass(frozen=True)
class Remark:
    """What became of a step, for reports.

    Attributes:
        time: ``time.monotonic()``.
        place: the number of the step, from 1; None concerns the end of the run, or no step at all.
        text: what became of it, in words, for people.
        speaker: who says so, if it is no remark about a step.
        server: what became of the server, where that changed.
    """

    time: float
    place: int | None
    text: str
    speaker: str | None = None
    server: ServerState | None = None


class Recording:
    """What was delivered to one subscriber, in order.

    Args:
        writes: how many changes the schedule makes. A client that shows no revisions may deliver as many equal changes
            one after another, and be right.
    """

    def __init__(self, writes: int = 0) -> None:
        self._kept_repeats = _KEPT_REPEATS + writes
        self._most = _MOST + writes
        self._changed = threading.Condition()
        self._deliveries: list[TimedDelivery] = []
        self._events = 0
        self._closed = False
        self._repeats = 0  # how often the last one came in a row
        self._left_out = 0
        self._misuse: BaseException | None = None
        self._unprintable = False  # a revision came that Python does not print

    def deliver(self, delivery: Delivery) -> None:
        """The callback that a client under test is given.

        Raises:
            TypeError: what was delivered is not a ``Delivery``.
        """
        now = time.monotonic()
        given: object = delivery
        try:
            if not isinstance(given, Delivery):
                raise TypeError(
                    "deliver() takes a Delivery such as Delivery(events=(Event('r17.a', '1', revision=5),)), "
                    f"not {represented(given)}"
                )
            delivery = plain(given)
        except (TypeError, ValueError, AttributeError) as error:
            with self._changed:
                self._misuse = self._misuse or error
                self._changed.notify_all()
            raise
        with self._changed:
            if self._closed:
                return
            again = bool(self._deliveries) and self._deliveries[-1].delivery == delivery
            self._repeats = self._repeats + 1 if again else 1
            self._events += len(delivery.events or ())
            if self._repeats > self._kept_repeats or self.full:
                self._left_out += 1
                return
            self._deliveries.append(TimedDelivery(now, delivery))
            self._unprintable = self._unprintable or bool(printed_revisions([delivery]))
            self._changed.notify_all()

    def snapshot(self) -> tuple[TimedDelivery, ...]:
        """Everything that was delivered so far.

        Raises:
            TypeError: something was delivered that is not a ``Delivery``.
        """
        with self._changed:
            self._check()
            deliveries = tuple(self._deliveries)
            if not self._unprintable:
                return deliveries
        printed = printed_revisions([one.delivery for one in deliveries])
        return tuple(replace(one, delivery=with_revisions(one.delivery, printed)) for one in deliveries)

    def __len__(self) -> int:
        with self._changed:
            return len(self._deliveries)

    @property
    def events(self) -> int:
        """How many changes were delivered so far."""
        with self._changed:
            return self._events

    @property
    def full(self) -> bool:
        """Whether it takes nothing any more."""
        return len(self._deliveries) >= self._most

    @property
    def left_out(self) -> int:
        """How many deliveries were not kept."""
        return self._left_out

    def wait_beyond(self, items: int, timeout: float) -> bool:
        """Wait until more than ``items`` calls were recorded, at most ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._misuse is not None or len(self._deliveries) > items, max(timeout, 0)
            )

    def close(self) -> None:
        """Take nothing any more."""
        with self._changed:
            self._closed = True

    def _check(self) -> None:
        if self._misuse is not None:
            raise self._misuse
