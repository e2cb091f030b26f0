"""Is there one order of the operations that explains every answer?

    verdict = check_linearizable(History.from_lines(lines))
    verdict.linearizable    # True, False, or None: the search was given up
    verdict.evidence        # of a refuted history: how far it can be explained, and the answer that cannot be

Each key is searched by itself (``search.py`` has the theory). Keys take turns, a few configurations each, so that one
hard key cannot hide another one's refutation. After ``max_steps`` configurations the search ends without a verdict,
which is neither a pass nor a failure; and when all keys together hold ``max_bytes``, the one that holds most is given
up. Steps and bytes are counted rather than measured: the same history has the same verdict on every machine.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_netfault.checks.history import History, Operation
from pytest_netfault.checks.models import check_fits, implied_model, model_named
from pytest_netfault.checks.reading import quoted
from pytest_netfault.checks.search import Search, layout_bytes
from pytest_netfault.checks.values import as_text
from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.common.wording import counted

__all__ = [
    "DEFAULT_MAX_BYTES",
    "DEFAULT_MAX_STEPS",
    "Evidence",
    "Key",
    "LinearizabilityVerdict",
    "check_linearizable",
]

Key = str | int | None

# Some seconds at worst. A history that is decided at all is nearly always decided within a hundredth of it.
DEFAULT_MAX_STEPS = 1_000_000
# Of what the searches keep besides the history itself, counted generously: Python then takes about 300 MB
# (tests/benchmarks/bench_checkers.py).
DEFAULT_MAX_BYTES = 400_000_000
# Configurations that a key looks at before it is the next one's turn: enough to make the switch cheap.
_TURN = 256


@dataclass(frozen=True)
class Evidence:
    """Why a history is not linearizable.

    Attributes:
        key: the key whose operations cannot be explained; None on a register.
        prefix: an order of operations that explains every answer returned before ``operation`` returned.
        operation: the first one whose answer no order explains.
        possible: values that the store could have held when it had to take effect, at most eight.
    """

    key: Key
    prefix: tuple[Operation, ...]
    operation: Operation
    possible: tuple[Hashable, ...]

    def __str__(self) -> str:
        first, last = self.operation.lines
        values = " or ".join(as_text(value) for value in self.possible)
        where = "" if self.key is None else f"key {quoted(self.key)}: "
        return (
            f"{where}all before line {last} can be explained, and line {last} cannot: "
            f"{self.operation} (invoked in line {first}), where the value was {values}"
        )


@dataclass(frozen=True)
class LinearizabilityVerdict:
    """The outcome of a search.

    Attributes:
        linearizable: None if the search was given up.
        model: the name of the model it was judged against.
        evidence: for a refuted history, else None.
        orders: for each key that is explained, an order of its operations that explains it.
        open_keys: the keys that were still undecided when the search ended.
        steps: how many configurations were looked at.
        out_of_memory: whether a key was given up because the searches had reached their limit of memory.
    """

    linearizable: bool | None
    model: str
    evidence: Evidence | None
    orders: dict[Key, tuple[Operation, ...]]
    open_keys: tuple[Key, ...]
    steps: int
    out_of_memory: bool = False

    @property
    def verdict(self) -> VerdictName:
        """``linearizable`` in the terms of all verdicts."""
        if self.linearizable is None:
            return "inconclusive"
        return "kept" if self.linearizable else "broken"

    def to_json(self) -> dict[str, Any]:
        """``verdict``, and ``linearizable``: true, false or null."""
        return {"verdict": self.verdict, "linearizable": self.linearizable}

    def lines(self) -> list[str]:
        """The verdict, and for a refuted history the first answer that no order explains."""
        if self.linearizable is None:
            keys = (
                "" if self.open_keys == (None,) else f" with {counted(len(self.open_keys), 'key')} undecided"
            )
            limit = ", at the limit of memory" if self.out_of_memory else ""
            return [f"inconclusive: given up after {counted(self.steps, 'configuration')}{keys}{limit}"]
        if self.linearizable:
            return [f"kept: linearizable ({self.model})"]
        return [f"broken: not linearizable ({self.model})", f"    {self.evidence}"]


def check_linearizable(
    history: History,
    *,
    model: str | None = None,
    max_steps: int = DEFAULT_MAX_STEPS,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> LinearizabilityVerdict:
    """Search for an order of the operations that explains every answer.

    Args:
        history: what happened.
        model: a name of ``models.MODELS``; without it the operations imply one.
        max_steps: how many configurations to look at before giving up.
        max_bytes: how much memory to hold, about, before giving up the key that holds most of it.

    Raises:
        FormatError: an operation that the model does not have.
        ValueError: an unknown model, or a limit below 1.

    >>> lines = [
    ...     '{"process": 1, "type": "invoke", "op": "write", "value": 4}',
    ...     '{"process": 1, "type": "ok", "op": "write"}',
    ...     '{"process": 2, "type": "invoke", "op": "read"}',
    ...     '{"process": 2, "type": "ok", "op": "read", "value": null}',
    ... ]
    >>> verdict = check_linearizable(History.from_lines(lines))
    >>> verdict.linearizable
    False
    >>> print(verdict.evidence.operation, "| possible:", *verdict.evidence.possible)
    process 2: read -> null | possible: 4
    """
    for name, limit in (("max_steps", max_steps), ("max_bytes", max_bytes)):
        if limit < 1:
            raise ValueError(f"{name} must be at least 1, not {limit}")
    chosen = implied_model(history.operations) if model is None else model_named(model)
    check_fits(history.operations, chosen)
    parts: dict[Key, list[Operation]] = {}
    for operation in history.operations:
        parts.setdefault(operation.key, []).append(operation)

    searches = _Searches(parts, max_bytes)
    orders: dict[Key, tuple[Operation, ...]] = {}
    evidence: Evidence | None = None
    steps = 0
    while evidence is None and steps < max_steps and (turns := searches.turns()):
        for key in turns:
            search = searches.search(key)
            if search is None:
                continue
            steps += search.advance(min(_TURN, max_steps - steps))
            if search.explained:
                orders[key] = search.order()
            elif search.explained is False:
                evidence = Evidence(key, search.order(), search.stuck_at(), search.possible())
                break
            searches.count(key, search)
            if steps >= max_steps:
                break
    still_open = searches.open_keys()
    linearizable = False if evidence is not None else None if still_open else True
    out_of_memory = linearizable is None and bool(searches.given_up)
    return LinearizabilityVerdict(
        linearizable, chosen.name, evidence, orders, still_open, steps, out_of_memory
    )


class _Searches:
    """The searches of all keys, which hold no more than so much memory together."""

    def __init__(self, parts: Mapping[Key, Sequence[Operation]], max_bytes: int) -> None:
        self.given_up: set[Key] = set()
        self._parts = parts
        self._max_bytes = max_bytes
        self._waiting: dict[Key, Search | None] = dict.fromkeys(parts)  # None: not begun
        self._held: dict[Key, int] = {}
        self._total = 0

    def turns(self) -> list[Key]:
        """The keys that are undecided, each of which has a turn."""
        return list(self._waiting)

    def open_keys(self) -> tuple[Key, ...]:
        """The keys that are undecided."""
        return tuple(key for key in self._parts if key in self._waiting or key in self.given_up)

    def search(self, key: Key) -> Search | None:
        """The search of a key, which is no longer waiting; None if it was given up, or is too large to begin."""
        search = self._waiting.pop(key, None)
        if search is None and key not in self.given_up:
            if layout_bytes(self._parts[key]) > self._max_bytes:
                self.given_up.add(key)
            else:
                search = Search(self._parts[key])
        self._total -= self._held.pop(key, 0)
        return search

    def count(self, key: Key, search: Search) -> None:
        """Let a search wait for its next turn; give up the largest, if they hold too much together."""
        if search.explained is None:
            self._waiting[key] = search
            self._held[key] = search.bytes_held
            self._total += search.bytes_held
        while self._total > self._max_bytes:
            largest = max(self._held, key=self._held.__getitem__)
            self._total -= self._held.pop(largest)
            del self._waiting[largest]
            self.given_up.add(largest)
