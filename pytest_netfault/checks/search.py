"""The search for an order that explains the operations of one key.

Theory of operation
-------------------
This is the search of Wing and Gong (1993) with the state cache of Lowe (2017), taken just in time. The returns are
walked in their order, and at each of them the operation that returns must have taken effect. If it has not, it takes
effect now, or another open operation does first:

    return p ---- has it taken effect? --- yes --> return p + 1
                          | no
                          +--> it takes effect, or some other open operation does: look again

A *configuration* is (which return is next, which open operations have taken effect already, which unknown ones
are used up, the value). They are searched depth first, what returns next is tried first, and what was seen is
not looked at again. An operation that was invoked after a return cannot take effect before it, because it is not
open yet when that return is walked: real time is respected by construction.

Four things keep it small:

* A read whose answer fits the value takes effect at once. It changes nothing, and the value may never fit
  again, so that waiting is never better.
* An unknown outcome need not be used. A configuration that was seen with fewer of them used up, equal
  otherwise, can do all that this one can, and this one is cut off. Without it each unknown write doubles the work.
* Of unknown operations that would do the same, only the first unused one is tried.
* An unknown operation that is overwritten before anything has seen its value need not have been used. Nothing is
  written directly on top of one (``idle`` below).

All branches walk the same returns in the same order. The furthest return that any of them got stuck at is therefore the
end of the longest prefix that can be explained, and the values that they held there are all that there could be.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from pytest_netfault.checks.history import Operation
from pytest_netfault.checks.models import IMPOSSIBLE, Effect, effect_of, step

__all__ = ["Search"]

_MOST_VALUES = 8

# The order that led to a configuration, newest first: (operation, the trail before it). Sharing the tails keeps it
# at one tuple a configuration.
_Trail = tuple[int, object] | None
# Which return is next, what has taken effect, which unknown ones are used up, the value, the trail, and whether the
# last step used an unknown operation whose value nothing has seen yet.
_Configuration = tuple[int, int, int, Hashable, _Trail, bool]
_Mutator = tuple[int, Effect, int]  # bit, effect, operation
_Observer = tuple[int, bool, Hashable, int]  # bit, whether the value must be equal, value, operation


class Search:
    """A search that can be paused: call :meth:`advance` until ``explained`` is not None.

    Attributes:
        explained: True or False once it is known.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.explained: bool | None = None
        self._operations = operations
        self._returns: list[int] = []  # the operations that must take effect, in the order of their returns
        self._return_bits: list[int] = []
        self._mutators: list[tuple[_Mutator, ...]] = []  # at each return, what is open
        self._observers: list[tuple[_Observer, ...]] = []
        self._unknown: list[tuple[Effect, int]] = []
        self._unknown_open: list[int] = []  # at each return, how many of them were invoked
        self._lay_out()
        self._stack: list[_Configuration] = [(0, 0, 0, None, None, False)]
        self._seen: dict[tuple[int, int, Hashable], list[int]] = {}
        self._furthest = -1
        self._trail: _Trail = None
        self._values: dict[Hashable, None] = {}

    def _lay_out(self) -> None:
        """Walk the history once and note, for each return, what is open there."""
        moments: list[tuple[int, bool, int]] = []
        effects: dict[int, Effect] = {}
        for index, operation in enumerate(self._operations):
            effect = effect_of(operation)
            if effect is None:
                continue
            if effect.kind == "cas" and effect.value == effect.to:
                effect = Effect("read", effect.value)  # it changes nothing
            effects[index] = effect
            moments.append((operation.invoked, False, index))
            if operation.returned is not None:
                moments.append((operation.returned, True, index))
        moments.sort()
        # A bit is used again once its operation has returned, so that masks stay as narrow as the history is
        # concurrent.
        free: list[int] = []
        width = 0
        bits: dict[int, int] = {}
        mutators: dict[int, _Mutator] = {}
        observers: dict[int, _Observer] = {}
        for _, is_return, index in moments:
            effect = effects[index]
            if is_return:
                self._returns.append(index)
                self._return_bits.append(bits[index])
                self._mutators.append(tuple(mutators.values()))
                self._observers.append(tuple(observers.values()))
                self._unknown_open.append(len(self._unknown))
                mutators.pop(index, None)
                observers.pop(index, None)
                free.append(bits[index])
            elif self._operations[index].returned is None:
                self._unknown.append((effect, index))
            else:
                if not free:
                    free.append(1 << width)
                    width += 1
                bit = bits[index] = free.pop()
                if effect.kind in ("read", "differs"):
                    observers[index] = (bit, effect.kind == "read", effect.value, index)
                else:
                    mutators[index] = (bit, effect, index)

    def advance(self, steps: int) -> int:
        """Look at up to that many configurations; return how many it were."""
        taken = 0
        stack = self._stack
        while stack and taken < steps and self.explained is None:
            taken += 1
            began, before, used, state, trail, idle = stack.pop()
            at, mask, trail = self._settle(began, before, state, trail)
            idle = idle and at == began and mask == before
            if at == len(self._returns):
                self.explained = True
                self._furthest, self._trail = at, trail
                stack.clear()
            elif self._is_new(at, mask, used, state):
                if at > self._furthest:
                    self._furthest, self._trail = at, trail
                    self._values.clear()
                if at == self._furthest and len(self._values) < _MOST_VALUES:
                    self._values[state] = None
                self._branch((at, mask, used, state, trail, idle))
        if not stack and self.explained is None:
            self.explained = False
        return taken

    def _settle(self, at: int, mask: int, state: Hashable, trail: _Trail) -> tuple[int, int, _Trail]:
        """Let fitting reads take effect and pass the returns of what has, until something must be decided."""
        while at < len(self._returns):
            for bit, equal, value, index in self._observers[at]:
                if not mask & bit and (state == value) is equal:
                    mask |= bit
                    trail = (index, trail)
            bit = self._return_bits[at]
            if not mask & bit:
                break
            mask ^= bit
            at += 1
        return at, mask, trail

    def _is_new(self, at: int, mask: int, used: int, state: Hashable) -> bool:
        """Whether nothing at least as free as this configuration has been looked at; note it if so."""
        before = self._seen.setdefault((at, mask, state), [])
        for other in before:
            if other & used == other:
                return False
        before.append(used)
        return True

    def _branch(self, configuration: _Configuration) -> None:
        """Push what can take effect next. The stack gives back the last one first, so the likeliest comes last."""
        at, mask, used, state, trail, idle = configuration
        stack = self._stack
        due = self._returns[at]
        tried: set[Effect] = set()
        for number in range(self._unknown_open[at]):
            effect, index = self._unknown[number]
            if used >> number & 1 or effect in tried or (idle and effect.kind == "write"):
                continue
            tried.add(effect)
            after = step(state, effect)
            if after is not IMPOSSIBLE and after != state:
                stack.append((at, mask, used | 1 << number, after, (index, trail), True))
        first: _Configuration | None = None
        for bit, effect, index in self._mutators[at]:
            if mask & bit or (idle and effect.kind == "write"):
                continue
            after = step(state, effect)
            if after is not IMPOSSIBLE:
                following = (at, mask | bit, used, after, (index, trail), False)
                if index == due:
                    first = following
                else:
                    stack.append(following)
        if first is not None:
            stack.append(first)

    def order(self) -> tuple[Operation, ...]:
        """An order that explains everything, or as much as can be explained."""
        order = []
        trail: object = self._trail
        while isinstance(trail, tuple):
            index, trail = trail
            order.append(self._operations[index])
        return tuple(reversed(order))

    def stuck_at(self) -> Operation:
        """The operation that no order explains: the first one whose return nothing gets past."""
        return self._operations[self._returns[self._furthest]]

    def possible(self) -> tuple[Hashable, ...]:
        """The values that the store could have held there."""
        return tuple(self._values)
