"""The stages of our own faults: one for each that does something to the bytes, registered next to it."""

from __future__ import annotations

import hashlib
import math
import random
from collections import deque

from pytest_netfault.faults import Blackhole, Corrupt, Delay, Slice, Throttle
from pytest_netfault.proxy.stage import (
    Added,
    Data,
    Item,
    Place,
    Stage,
    counted,
    size_of,
    stage_for,
)

__all__ = ["CorruptStage", "DelayStage", "HoldStage", "SliceStage", "ThrottleStage", "stage_for"]

# What a throttle or a slice with a gap keeps before it asks for no more. It is small so that the sender feels
# the bottleneck, as it would feel a slow network.
QUEUE_LIMIT = 64 * 1024


class HoldStage(Stage):
    """Silence: keeps whatever comes, endings too, and asks for no more."""

    def pull(self, now: float) -> Item | None:
        return None

    def full(self, now: float) -> bool:
        return True


@stage_for.register(Blackhole)
def _blackhole(_fault: Blackhole, _place: Place) -> Stage:
    return HoldStage()


class DelayStage(Stage):
    """Each item goes on ``seconds`` (and its jitter) after it came, never before the one ahead of it."""

    def __init__(self, seconds: float, jitter: float, *, key: str, position: int) -> None:
        super().__init__()
        self._seconds = seconds
        self._jitter = jitter
        self._key = key
        self._position = position
        self._due: deque[float] = deque()
        self._last = -math.inf

    def lateness(self, position: int) -> float:
        """How late the chunk that starts at this position is; the same for the same key, in any process."""
        if not self._jitter:
            return self._seconds
        digest = hashlib.blake2b(f"{self._key}/{position}".encode(), digest_size=8).digest()
        share = int.from_bytes(digest, "big") / 2**64
        return max(0.0, self._seconds + self._jitter * (2 * share - 1))

    def push(self, now: float, item: Item) -> None:
        self._last = max(self._last, now + self.lateness(self._position))
        self._due.append(self._last)
        self._position += counted(item)
        super().push(now, item)

    def pull(self, now: float) -> Item | None:
        if not self._due or self._due[0] > now:
            return None
        self._due.popleft()
        return super().pull(now)

    def wake(self) -> float | None:
        return self._due[0] if self._due else None


@stage_for.register(Delay)
def _delay(fault: Delay, place: Place) -> Stage:
    return DelayStage(fault.seconds, fault.jitter, key=place.key, position=place.position)


class ThrottleStage(Stage):
    """Lets bytes out piece by piece, each once the line would have carried it. Idle time is not saved up."""

    # A piece is what the line carries in this time: small enough to look like a slow line, large enough that a
    # fast one does not cost a wake-up for each packet.
    PIECE_SECONDS = 0.01
    # Woken late, the line makes up for this much. Asked again only after longer than that, it had stood still
    # behind a receiver that took nothing, and that time is not made up for.
    CATCH_UP_SECONDS = 0.25

    def __init__(self, bytes_per_second: float) -> None:
        super().__init__()
        self._rate = bytes_per_second
        self._piece = max(1, int(bytes_per_second * self.PIECE_SECONDS))
        self._free = -math.inf  # when the line has carried all that was let out
        self._limit = max(QUEUE_LIMIT, self._piece)

    def push(self, now: float, item: Item) -> None:
        if not self.queue:
            self._free = max(self._free, now)
        super().push(now, item)

    def _carried(self) -> float | None:
        if not self.queue:
            return None
        return self._free + min(size_of(self.queue[0]), self._piece) / self._rate

    def pull(self, now: float) -> Item | None:
        due = self._carried()
        if due is None or due > now:
            return None
        self._free = max(due, now - self.CATCH_UP_SECONDS)
        return _take(self, self._piece)

    def wake(self) -> float | None:
        return self._carried()

    def full(self, now: float) -> bool:
        return self.held >= self._limit


@stage_for.register(Throttle)
def _throttle(fault: Throttle, _place: Place) -> Stage:
    return ThrottleStage(fault.bytes_per_second)


class SliceStage(Stage):
    """Lets bytes out in pieces of at most ``size``, ``gap`` seconds apart."""

    separate = True

    def __init__(self, size: int, gap: float) -> None:
        super().__init__()
        self._size = size
        self._gap = gap
        self._next = -math.inf

    def pull(self, now: float) -> Item | None:
        if not self.queue or now < self._next:
            return None
        if size_of(self.queue[0]):
            self._next = now + self._gap
        return _take(self, self._size)

    def wake(self) -> float | None:
        return self._next if self.queue else None

    def full(self, now: float) -> bool:
        return self.held >= QUEUE_LIMIT


@stage_for.register(Slice)
def _slice(fault: Slice, _place: Place) -> Stage:
    return SliceStage(fault.size, fault.gap)


def _take(stage: Stage, most: int) -> Item:
    """Remove up to ``most`` bytes (or the ending) from the head of a stage's queue."""
    item = stage.queue[0]
    if not isinstance(item, (bytes, memoryview)) or len(item) <= most:
        stage.held -= size_of(item)
        return stage.queue.popleft()
    if isinstance(item, Added):
        stage.queue[0] = Added(item[most:])
        piece: Data = Added(item[:most])
    else:
        view = memoryview(item)
        stage.queue[0] = view[most:]
        piece = view[:most]
    stage.held -= most
    return piece


class CorruptStage(Stage):
    """Changes bytes at positions that only the key decides.

    The stream is seen in blocks, and each block has random numbers of its own, made from the key and the
    block's number. So a fault that comes a terabyte into a stream need not draw for what has passed.
    """

    BLOCK = 4096

    def __init__(self, probability: float, *, key: str, position: int) -> None:
        super().__init__()
        self._position = position
        self._key = key
        steps = int(probability * 256)
        # Whether a byte is damaged is drawn as one of 256 steps; the step on the border needs a second draw.
        self._chosen = bytes(0xFF if step < steps else 0 for step in range(256))
        self._border = bytes([steps]) if steps < 256 else b""
        self._share = probability * 256 - steps
        self._mask = (-1, b"")  # of the block that was met last, and its number
        self._harmless = probability <= 0

    def push(self, now: float, item: Item) -> None:
        size = counted(item)
        if size and not self._harmless and isinstance(item, (bytes, memoryview)):
            mask = self._masks(self._position, size)
            damaged = int.from_bytes(item, "little") ^ int.from_bytes(mask, "little")
            item = damaged.to_bytes(size, "little")
        self._position += size
        super().push(now, item)

    def _masks(self, position: int, size: int) -> bytes:
        """What the bytes from this position on are XORed with; 0 leaves a byte as it is."""
        first, last = position // self.BLOCK, (position + size - 1) // self.BLOCK
        masks = b"".join(self._mask_of(block) for block in range(first, last + 1))
        return masks[position - first * self.BLOCK :][:size]

    def _mask_of(self, block: int) -> bytes:
        if self._mask[0] != block:
            draw = random.Random(f"{self._key}/{block}")
            steps = draw.randbytes(self.BLOCK)
            chosen = bytearray(steps.translate(self._chosen))
            at = steps.find(self._border) if self._share else -1
            while at >= 0:
                if draw.random() < self._share:
                    chosen[at] = 0xFF
                at = steps.find(self._border, at + 1)
            change = draw.randbytes(self.BLOCK).replace(b"\0", b"\1")  # XOR with 0 would be no damage
            both = int.from_bytes(chosen, "little") & int.from_bytes(change, "little")
            self._mask = (block, both.to_bytes(self.BLOCK, "little"))
        return self._mask[1]


@stage_for.register(Corrupt)
def _corrupt(fault: Corrupt, place: Place) -> Stage:
    return CorruptStage(fault.probability, key=place.key, position=place.position)
