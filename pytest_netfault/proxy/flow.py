"""One direction of one connection: the stages of all active faults, in the order in which they were applied.

::

    source socket -> push -> stage 1 -> stage 2 -> ... -> out -> sink socket
                             oldest                 newest

A new fault stands nearest to the receiver. So all that is still on its way, held by an older fault or by a
receiver that does not read, passes the new one as well: nothing slips past a fault that is in force.

Pure: no sockets and no clock; ``now`` is an argument. What is in ``out`` is settled and waits only
for the kernel to take it.
"""

from __future__ import annotations

from collections import deque

from pytest_netfault.proxy.stage import Added, Ending, Item, Stage, size_of

__all__ = ["OUT_LIMIT", "OUT_PIECES", "PIECE_COST", "STAGE_PIECES", "Flow"]

# Bytes past all stages that wait for the receiver before reading stops: half of a read.
OUT_LIMIT = 256 * 1024
# ... and the most pieces of it, so that slicing into single bytes does not turn a read into a million objects.
OUT_PIECES = 1024
# The most pieces that a stage is given by the one before it. A piece costs about 250 bytes beside its own, so
# that even single bytes, sliced and then delayed for an hour, stay below 20 MB.
STAGE_PIECES = 64 * 1024
# What a piece takes beside the bytes that it carries: an object, its place in a queue, the time when it is due.
PIECE_COST = 256


# A method more than a class of ours should have: they are the operations on one queue of stages.
class Flow:
    """The items on their way in one direction."""

    __slots__ = ("_more", "_moved", "_out_bytes", "out", "stages")

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.out: deque[Item] = deque()
        self._out_bytes = 0
        self._more = False  # the last advance stopped so that others have their turn
        self._moved = False  # something was taken in since it was last seen to be empty

    @property
    def plain(self) -> bool:
        """True when a byte read may be sent at once: no stage, and nothing waits."""
        return not self.stages and not self.out

    @property
    def separate(self) -> bool:
        """Whether pieces must reach the receiver as segments of their own."""
        return bool(self.stages) and any(stage.separate for stage in self.stages)

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way, no byte and no ending."""
        if self._moved and not self.out and not (self.stages and any(stage.queue for stage in self.stages)):
            self._moved = False
        return not self._moved

    @property
    def held(self) -> int:
        """Bytes on their way, in stages and behind them."""
        return self._out_bytes + sum(stage.held for stage in self.stages)

    @property
    def cost(self) -> int:
        """What is on its way takes about so much memory, in bytes: small pieces are more than what they carry."""
        pieces, held = len(self.out), self._out_bytes
        for stage in self.stages:
            pieces += len(stage.queue)
            held += stage.held
        return held + pieces * PIECE_COST

    @property
    def settled(self) -> int:
        """Bytes behind all stages, that wait only for the kernel to take them."""
        return self._out_bytes

    @property
    def ends_with_reset(self) -> bool:
        """Whether all that is still to come is settled, with a RST at its end."""
        return bool(self.out) and self.out[-1] is Ending.RST

    def held_back(self, now: float) -> bool:
        """Whether a fault, and not only a slow receiver, asks that nothing be read."""
        return any(stage.full(now) for stage in self.stages)

    def _into(self, index: int, now: float, item: Item) -> None:
        if index < len(self.stages):
            self.stages[index].push(now, item)
        else:
            self.out.append(item)
            self._out_bytes += size_of(item)

    def push(self, now: float, item: Item) -> None:
        """Take in what was read from the source."""
        self._moved = True
        self._into(0, now, item)

    def _room(self, index: int) -> int:
        """How many pieces may still go to the stage of this index, or to ``out`` behind the last."""
        if index < len(self.stages):
            return STAGE_PIECES - len(self.stages[index].queue)
        return OUT_PIECES - len(self.out)

    def advance(self, now: float) -> None:
        """Move on what the stages let out by now, as far as there is room behind them.

        One call moves no more than ``OUT_PIECES`` past each stage, so that it takes a millisecond or two whatever
        the faults have made of the bytes.
        """
        self._more = False
        for index, stage in enumerate(self.stages, start=1):
            room = self._room(index)
            for _ in range(min(room, OUT_PIECES)):
                item = stage.pull(now)
                if item is None:
                    break
                self._into(index, now, item)
            else:
                self._more = self._more or room > OUT_PIECES

    def next(self, now: float) -> Item | None:
        """The item to hand to the sink next, without removing it."""
        if not self.out:
            self.advance(now)
        return self.out[0] if self.out else None

    def took(self, sent: int) -> int:
        """The sink took ``sent`` bytes of the next item (all of an ending). Returns how many of them count."""
        item = self.out[0]
        size = size_of(item)
        self._out_bytes -= sent
        if sent >= size:
            self.out.popleft()
        elif isinstance(item, Added):
            self.out[0] = Added(item[sent:])
        elif isinstance(item, (bytes, memoryview)):
            self.out[0] = memoryview(item)[sent:]
        return 0 if isinstance(item, Added) else sent

    def wake(self, now: float) -> float | None:
        """When a stage may let something out that it holds now; never earlier than ``now``."""
        if self._more:
            return now
        if not self.stages:
            return None
        times = [
            when
            for index, stage in enumerate(self.stages, start=1)
            if (when := stage.wake()) is not None and self._room(index) > 0
        ]
        return max(now, min(times)) if times else None

    def full(self, now: float) -> bool:
        """Whether reading should stop: enough waits for the receiver, or a fault asks for silence."""
        # What a delay holds is in flight and may be much; the budget of the link bounds it. What it has let out and the
        # receiver has not taken is a backlog, so that is counted where it waits.
        self.advance(now)
        return (
            self._out_bytes >= OUT_LIMIT
            or len(self.out) >= OUT_PIECES
            or any(stage.full(now) or len(stage.queue) >= STAGE_PIECES for stage in self.stages)
        )

    def add(self, now: float, stage: Stage) -> None:
        """Put a new fault's stage in force: all that is still on its way will pass it."""
        waiting, self.out = self.out, deque()
        self._out_bytes = 0
        self.stages.append(stage)
        for item in waiting:
            stage.push(now, item)

    def remove(self, now: float, stage: Stage) -> None:
        """Heal a stage: what it held goes on to the next one, in order."""
        if stage not in self.stages:  # the connection was cleared meanwhile
            stage.drain()
            return
        index = self.stages.index(stage)
        del self.stages[index]
        for item in stage.drain():
            self._into(index, now, item)

    def put_in_place(self, now: float, old: Stage | None, new: Stage | None, behind: list[Stage]) -> None:
        """Put a stage where another one was, or before the first of those that must stand behind it.

        What the old one held goes on behind the new one, in order.

        Args:
            now: the time.
            old: the stage that goes, if there was one.
            new: the stage that comes, if there is one.
            behind: the stages of newer faults, the oldest first; they are asked where there is no old one.
        """
        places = [self.stages.index(stage) for stage in behind if stage in self.stages]
        index = min(places, default=len(self.stages))
        released: list[Item] = []
        if old is not None and old in self.stages:
            index = self.stages.index(old)
            del self.stages[index]
            released = old.drain()
        if new is not None:
            self.stages.insert(index, new)
            index += 1
        for item in released:
            self._into(index, now, item)

    def clear(self) -> None:
        """Throw away all that is on its way: the connection is being severed or reset."""
        self.stages.clear()
        self.out.clear()
        self._out_bytes = 0
