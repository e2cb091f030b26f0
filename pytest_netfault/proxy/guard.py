"""What keeps the code of a custom fault from breaking the proxy.

A stage that somebody else wrote runs on the proxy's thread, in the middle of a step. Should it raise, or give what is
no item, its own connection is given up, with an event that says why; everything else goes on.

A guarded stage never raises, and after its first failure it holds everything and asks for nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from pytest_netfault.faults import Fault, shown
from pytest_netfault.proxy import stages
from pytest_netfault.proxy.stage import CutHere, Ending, Item, Stage

__all__ = ["GuardedStage", "guarded"]

T = TypeVar("T")
_NOTHING: deque[Item] = deque()


def guarded(fault: Fault, stage: object, on_failure: Callable[[BaseException], None]) -> Stage | None:
    """What ``fault.stage(place)`` returned, with a guard around it unless it is a stage of ours.

    Args:
        fault: the custom fault.
        stage: what it returned.
        on_failure: called once, with what the stage raised.

    Raises:
        TypeError: it is neither a stage nor None.
    """
    if stage is None:
        return None
    name = type(fault).__name__
    if not isinstance(stage, Stage):
        raise TypeError(
            f"{name}.stage(place) must return a Stage, or None for a direction to leave alone, not {shown(stage)}"
        )
    if not hasattr(stage, "queue") or not hasattr(stage, "held"):
        raise TypeError(
            f"{name}.stage(place) returned a {type(stage).__name__} whose __init__ does not call super().__init__()"
        )
    if type(stage).__module__ == stages.__name__:
        return stage
    return GuardedStage(stage, on_failure)


class GuardedStage(Stage):
    """A stage of a custom fault.

    Args:
        stage: what somebody else wrote.
        on_failure: called once, with what the stage raised.
    """

    def __init__(self, stage: Stage, on_failure: Callable[[BaseException], None]) -> None:
        self._stage = stage
        self._on_failure = on_failure
        self._failed = False

    @property
    def met(self) -> bool:  # type: ignore[override]
        """Whether an item came by."""
        return bool(self._ask(lambda: self._stage.met, True))

    @property
    def separate(self) -> bool:  # type: ignore[override]
        """Whether pieces must leave as segments of their own."""
        return bool(self._ask(lambda: self._stage.separate, False))

    @property
    def queue(self) -> deque[Item]:  # type: ignore[override]
        """What is held."""
        return self._ask(lambda: self._stage.queue, _NOTHING)

    @property
    def held(self) -> int:  # type: ignore[override]
        """Bytes held."""
        return self._ask(lambda: int(self._stage.held), 0)

    def push(self, now: float, item: Item) -> None:
        self._ask(lambda: self._stage.push(now, item), None)

    def pull(self, now: float) -> Item | None:
        return self._ask(lambda: _item(self._stage.pull(now)), None)

    def wake(self) -> float | None:
        return self._ask(lambda: _time(self._stage.wake()), None)

    def full(self, now: float) -> bool:
        return self._ask(lambda: bool(self._stage.full(now)), True)

    def drain(self) -> list[Item]:
        def drained() -> list[Item]:
            items = [_item(item) for item in self._stage.drain()]
            return [item for item in items if item is not None]

        return self._ask(drained, [])

    def _ask(self, question: Callable[[], T], otherwise: T) -> T:
        if self._failed:
            return otherwise
        try:
            return question()
        except BaseException as error:  # noqa: BLE001, RUF100 - it becomes an event of the connection
            self._failed = True
            self._on_failure(error)
            return otherwise


def _item(item: Any) -> Item | None:
    if item is None or isinstance(item, (bytes, Ending, CutHere)):
        return item
    if isinstance(item, (memoryview, bytearray)):
        if isinstance(item, memoryview) and item.format == "B" and item.contiguous and item.ndim == 1:
            return item
        return bytes(item)
    raise TypeError(f"a stage lets out bytes or an Ending, not {shown(item)}")


def _time(when: Any) -> float | None:
    if when is None:
        return None
    if isinstance(when, bool) or not isinstance(when, (int, float)) or math.isnan(when):
        raise TypeError(f"wake() returns a time in seconds or None, not {shown(when)}")
    return when
