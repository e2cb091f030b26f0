"""What one fault does to one direction of one connection, without sockets and without a clock.

A *stage* takes items in at one end and lets them out at the other: bytes, and the ending behind them. The
proxy calls it with the present time, so that a test can play an hour in a millisecond::

    items -> push(now, item) -> [stage holds, cuts, changes] -> pull(now) -> items

Rules of this file:

* A stage never loses an item that its fault does not claim, never reorders, and never lets an ending overtake
  bytes.
* ``pull`` gives at most one item and None when nothing may go on yet; ``wake`` then says when to ask again
  (None: not before something is pushed).
* ``drain`` gives up everything that is held, in order: that is what healing is.
* ``full`` asks the proxy to stop reading, where the fault means that the sender feels it. What all stages of a link
  keep is bounded besides, see ``budget.py``.
* Every random choice is made from the key that the stage was given (seed, connection, direction) and from the
  position in the stream, never from how the bytes happened to be chunked.
"""

from __future__ import annotations

import enum
import functools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from pytest_netfault.faults import Fault

if TYPE_CHECKING:
    from pytest_netfault.proxy.cuts import CutStage
    from pytest_netfault.proxy.wire import Wire

__all__ = ["Added", "CutHere", "Data", "Ending", "Item", "Place", "Stage", "counted", "size_of", "stage_for"]


class Ending(enum.Enum):
    """How a direction of a connection ends."""

    FIN = "fin"
    RST = "rst"


class Added(bytes):
    """Bytes that a fault put into the stream. They are delivered but not counted."""

    __slots__ = ()


@dataclass(frozen=True, eq=False)
class CutHere:
    """Travels behind the last byte before a cut, so that later faults delay or hold the cut as well."""

    stage: CutStage


Data: TypeAlias = bytes | memoryview
Item: TypeAlias = Data | Ending | CutHere


class Stage:
    """A stage that lets everything pass at once. Faults of your own start from this class."""

    #: True once an item came by: the fault met traffic.
    met = False
    #: True if the pieces it lets out must reach the receiver as segments of their own.
    separate = False
    #: When it ends its connection by the clock, on that of ``push``, and how; whatever waits there then is thrown away.
    ends_at: float | None = None
    ends_with: Literal["fin", "rst"] = "fin"

    def __init__(self) -> None:
        self.queue: deque[Item] = deque()
        self.held = 0

    def push(self, now: float, item: Item) -> None:
        """Take in one item; ``now`` is the time in seconds."""
        self.met = True
        self.queue.append(item)
        self.held += size_of(item)

    def pull(self, now: float) -> Item | None:
        """Let out the next item that may go on at ``now``, if there is one."""
        if not self.queue:
            return None
        item = self.queue.popleft()
        self.held -= size_of(item)
        return item

    def wake(self) -> float | None:
        """When ``pull`` may have something that it does not have now."""
        return None

    def full(self, now: float) -> bool:
        """Whether the proxy should stop reading for this direction."""
        return False

    def take_over(self, before: Stage) -> None:
        """Go on from where a stage of the same fault has come to, whose arguments have changed."""

    def drain(self) -> list[Item]:
        """Give up all that is held, in order. The stage is not used any more."""
        items = list(self.queue)
        self.queue.clear()
        self.held = 0
        return items


def size_of(item: Item) -> int:
    """The bytes that an item carries; an ending carries none."""
    return len(item) if isinstance(item, (bytes, memoryview)) else 0


def counted(item: Item) -> int:
    """The bytes by which an item moves the position in the stream: those that the source sent."""
    return 0 if isinstance(item, Added) else size_of(item)


@dataclass(frozen=True)
class Place:
    """Where a stage stands.

    Attributes:
        connection: the connection's number on its link, from 1.
        direction: ``"up"`` or ``"down"``.
        position: bytes of that direction delivered so far: the position of the first byte that the stage gets.
        root: the seed, and a count of the faults of the same kind that were in force already.
        wire: what the connection has delivered so far, framed; None where nothing is.
    """

    connection: int
    direction: Literal["up", "down"]
    position: int
    root: str
    wire: Wire | None = None

    @property
    def key(self) -> str:
        """What to make random choices from: the same in every process with the same seed."""
        return f"{self.root}/{self.connection}/{self.direction}"


@functools.singledispatch
def stage_for(fault: Fault, place: Place) -> Stage | None:  # noqa: ARG001 - of those that are registered
    """The stage of a fault for a direction that it claims of a connection, or None if it leaves that alone.

    Each fault that has a stage registers it next to the stage; one that has none acts on the listener or on whole
    connections, as its traits say.
    """
    return None
