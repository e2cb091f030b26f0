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

Four things keep it fast:

* A read whose answer fits the value takes effect at once. It changes nothing, and the value may never fit
  again, so that waiting is never better.
* An unknown outcome need not be used. A configuration that was seen with fewer of them used up, equal
  otherwise, can do all that this one can, and this one is cut off. Without it each unknown write doubles the work.
* Of unknown operations that would do the same, only the first unused one is tried.
* An unknown operation that is overwritten before anything has seen its value need not have been used. Nothing is
  written directly on top of one (``idle`` below).

All branches walk the same returns in the same order. The furthest return that any of them got stuck at is therefore the
end of the longest prefix that can be explained, and the values that they held there are all that there could be.

Memory
------
What is kept is one entry for each configuration that was looked at, the values, which share what they have in common
(``shared_values.py``), and the way to the configuration that is looked at now, each with where its branches go on: what
could take effect next is worked out when it is tried. ``bytes_held`` counts all of it by a formula.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from pytest_netfault.checks.history import Operation
from pytest_netfault.checks.models import Effect, effect_of
from pytest_netfault.checks.shared_values import NO_VALUE, SharedValues

__all__ = ["Search", "layout_bytes"]

_MOST_VALUES = 8

# Bytes that CPython takes, with what holds them: an entry of what was seen, a branching with its part of the trail, and
# a reference to an operation that is open; and a search that has nothing in it yet.
_SEEN_BYTES = 320
_BRANCHING_BYTES = 400
_REFERENCE_BYTES = 8
_EMPTY_BYTES = 4_000

# The order that led to a configuration, newest first: (operation, the trail before it). Sharing the tails keeps it
# at one tuple a configuration.
_Trail = tuple[int, object] | None
# Which return is next, what has taken effect, which unknown ones are used up, the number of the value, the trail, and
# whether the last step used an unknown operation whose value nothing has seen yet.
_Configuration = tuple[int, int, int, int, _Trail, bool]


class _Step(NamedTuple):
    """An effect with numbers for its values."""

    kind: str
    value: int
    to: int
    text: str


_Mutator = tuple[int, _Step, int]  # bit, effect, operation
_Observer = tuple[int, bool, int, int]  # bit, whether the value must be equal, value, operation


class _Branching:
    """A configuration with what is still to be tried from it: the due operation, other open ones, unknown ones."""

    __slots__ = ("configuration", "due", "others", "unknown")

    def __init__(self, configuration: _Configuration, others: int, unknown: int) -> None:
        self.configuration = configuration
        self.due = True
        self.others = others  # so many of the open ones, tried from the last one on
        self.unknown = unknown  # a bit for each, tried from the highest on


def layout_bytes(operations: Sequence[Operation]) -> int:
    """About how many bytes a search takes before it begins: for each return, what is open there."""
    moments: list[tuple[int, int]] = []
    for one in operations:
        if one.returned is not None and effect_of(one) is not None:
            moments += [(one.invoked, 1), (one.returned, -1)]
    moments.sort()
    entries = is_open = 0
    for _, change in moments:
        entries += is_open if change < 0 else 0
        is_open += change
    return _REFERENCE_BYTES * entries


class Search:
    """A search that can be paused: call :meth:`advance` until ``explained`` is not None.

    It has more attributes than a class should: the operations, laid out for the walk, and the state of the search. They
    are flat because a million configurations are examined in seconds.

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
        self._unknown: list[tuple[_Step, int]] = []
        self._same: list[int] = []  # for each unknown one, a mask of those before it that would do the same
        self._unknown_writes = 0  # a mask of those that write whatever was there
        self._unknown_open: list[int] = []  # at each return, how many of them were invoked
        self._shared = SharedValues()
        self._open_bytes = _EMPTY_BYTES
        self._lay_out()
        self._note_same()
        self._next: _Configuration | None = (0, 0, 0, NO_VALUE, None, False)
        self._stack: list[_Branching] = []
        self._seen: dict[tuple[int, int, int], int | list[int]] = {}
        self._seen_bytes = 0
        self._furthest = -1
        self._trail: _Trail = None
        self._values: dict[int, None] = {}

    @property
    def bytes_held(self) -> int:
        """About how much memory the search takes."""
        branching = len(self._stack) * _BRANCHING_BYTES
        return self._open_bytes + self._shared.bytes_held + self._seen_bytes + branching

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
                self._open_bytes += _REFERENCE_BYTES * (len(mutators) + len(observers))
                self._unknown_open.append(len(self._unknown))
                mutators.pop(index, None)
                observers.pop(index, None)
                free.append(bits[index])
            elif self._operations[index].returned is None:
                self._unknown.append((self._step_of(effect), index))
            else:
                if not free:
                    free.append(1 << width)
                    width += 1
                bit = bits[index] = free.pop()
                if effect.kind in ("read", "differs"):
                    observers[index] = (bit, effect.kind == "read", self._shared.number(effect.value), index)
                else:
                    mutators[index] = (bit, self._step_of(effect), index)

    def _step_of(self, effect: Effect) -> _Step:
        if effect.kind == "append":
            return _Step("append", NO_VALUE, NO_VALUE, str(effect.value))
        value = self._shared.number(effect.value)
        to = self._shared.number(effect.to) if effect.kind == "cas" else value
        return _Step(effect.kind, value, to, "")

    def _note_same(self) -> None:
        before: dict[_Step, int] = {}
        for number, (step, _) in enumerate(self._unknown):
            same = before.get(step, 0)
            self._same.append(same)
            before[step] = same | 1 << number
            if step.kind == "write":
                self._unknown_writes |= 1 << number
            self._open_bytes += number // 4  # two masks

    def advance(self, steps: int) -> int:
        """Look at up to that many configurations; return how many it were."""
        taken = 0
        while taken < steps and self.explained is None:
            configuration = self._next or self._following()
            self._next = None
            if configuration is None:
                self.explained = False
                break
            taken += 1
            began, before, used, state, trail, idle = configuration
            at, mask, trail = self._settle(began, before, state, trail)
            idle = idle and at == began and mask == before
            if at == len(self._returns):
                self.explained = True
                self._furthest, self._trail = at, trail
                self._stack.clear()
            elif self._is_new(at, mask, used, state):
                if at > self._furthest:
                    self._furthest, self._trail = at, trail
                    self._values.clear()
                if at == self._furthest and len(self._values) < _MOST_VALUES:
                    self._values[state] = None
                unknown = ((1 << self._unknown_open[at]) - 1) & ~used
                if idle:
                    unknown &= ~self._unknown_writes
                configuration = (at, mask, used, state, trail, idle)
                self._stack.append(_Branching(configuration, len(self._mutators[at]), unknown))
        return taken

    def _settle(self, at: int, mask: int, state: int, trail: _Trail) -> tuple[int, int, _Trail]:
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

    def _is_new(self, at: int, mask: int, used: int, state: int) -> bool:
        """Whether nothing at least as free as this configuration has been looked at; note it if so."""
        place = (at, mask, state)
        before = self._seen.get(place)
        if before is None:
            self._seen[place] = used
        elif isinstance(before, list):
            if any(other & used == other for other in before):
                return False
            before.append(used)
        else:
            if before & used == before:
                return False
            self._seen[place] = [before, used]
        self._seen_bytes += _SEEN_BYTES + (mask.bit_length() + used.bit_length()) // 7
        return True

    def _following(self) -> _Configuration | None:
        """What can take effect next, the likeliest first; None if everything has been tried."""
        stack = self._stack
        while stack:
            branching = stack[-1]
            following = self._branch(branching)
            if not (branching.due or branching.others or branching.unknown):
                stack.pop()  # at once: a history without alternatives keeps nothing
            if following is not None:
                return following
        return None

    def _branch(self, branching: _Branching) -> _Configuration | None:
        """The next thing to try from a configuration: what must return now, then what is open, then what is unknown."""
        at, mask, used, state, trail, _ = branching.configuration
        due = self._returns[at]
        mutators = self._mutators[at]
        if branching.due:
            branching.due = False
            for bit, step, index in mutators:
                if index == due:
                    return self._after(branching.configuration, bit, step, index)
        while branching.others:
            branching.others -= 1
            bit, step, index = mutators[branching.others]
            if index != due:
                following = self._after(branching.configuration, bit, step, index)
                if following is not None:
                    return following
        while branching.unknown:
            number = branching.unknown.bit_length() - 1
            branching.unknown ^= 1 << number
            step, index = self._unknown[number]
            if self._same[number] & ~used:
                continue  # of those that would do the same, the first unused one is tried
            after = self._step(state, step)
            if after is not None and after != state:
                return (at, mask, used | 1 << number, after, (index, trail), True)
        return None

    def _after(
        self, configuration: _Configuration, bit: int, step: _Step, index: int
    ) -> _Configuration | None:
        at, mask, used, state, trail, idle = configuration
        if mask & bit or (idle and step.kind == "write"):
            return None
        after = self._step(state, step)
        return None if after is None else (at, mask | bit, used, after, (index, trail), False)

    def _step(self, state: int, step: _Step) -> int | None:
        """The value after an operation, or None where its answer cannot be explained; see ``models.step``."""
        if step.kind == "write":
            return step.value
        if step.kind == "append":
            return self._shared.appended(state, step.text)
        return step.to if state == step.value else None  # a cas, or one that changes nothing

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
        return tuple(map(self._shared.value, self._values))
