"""Is there one order of the operations that explains every answer?

    verdict = check_linearizable(History.from_lines(lines))
    verdict.linearizable    # True, False, or None: the search was given up, nobody knows
    verdict.evidence        # of a refuted history: how far it can be explained, and the answer that cannot be

Rules of this file: a key is searched by itself (``search.py`` has the theory); keys take turns, a few configurations
each, so that one hard key cannot hide another one's refutation; after ``max_steps`` configurations the search ends
without a verdict, which is neither a pass nor a failure. A limit in steps, not in seconds: the same history has the
same verdict on every machine.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.checks.history import History, Operation
from pytest_netfault.checks.models import check_fits, implied_model, model_named
from pytest_netfault.checks.reading import shown
from pytest_netfault.checks.search import Search
from pytest_netfault.checks.values import as_text

__all__ = ["DEFAULT_MAX_STEPS", "Evidence", "Key", "LinearizabilityVerdict", "check_linearizable"]

Key = str | int | None

# Some seconds and a few hundred MB of Python at worst. A history that is decided at all is nearly always decided
# within a hundredth of it.
DEFAULT_MAX_STEPS = 1_000_000
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
        where = "" if self.key is None else f"key {shown(self.key)}: "
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
    """

    linearizable: bool | None
    model: str
    evidence: Evidence | None
    orders: dict[Key, tuple[Operation, ...]]
    open_keys: tuple[Key, ...]
    steps: int

    @property
    def verdict(self) -> Literal["kept", "broken", "inconclusive"]:
        """The same in the words of all verdicts."""
        if self.linearizable is None:
            return "inconclusive"
        return "kept" if self.linearizable else "broken"


def check_linearizable(
    history: History, *, model: str | None = None, max_steps: int = DEFAULT_MAX_STEPS
) -> LinearizabilityVerdict:
    """Search for an order of the operations that explains every answer.

    Args:
        history: what happened.
        model: a name of ``models.MODELS``; without it the operations imply one.
        max_steps: how many configurations to look at before giving up.

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
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, not {max_steps}")
    chosen = implied_model(history.operations) if model is None else model_named(model)
    check_fits(history.operations, chosen)
    parts: dict[Key, list[Operation]] = {}
    for operation in history.operations:
        parts.setdefault(operation.key, []).append(operation)

    orders: dict[Key, tuple[Operation, ...]] = {}
    evidence: Evidence | None = None
    steps = 0
    waiting = {key: Search(operations) for key, operations in parts.items()}
    while waiting and steps < max_steps and evidence is None:
        for key, search in list(waiting.items()):
            steps += search.advance(min(_TURN, max_steps - steps))
            if search.explained is None:
                continue
            del waiting[key]
            if search.explained:
                orders[key] = search.order()
            else:
                evidence = Evidence(key, search.order(), search.stuck_at(), search.possible())
                break
    linearizable = False if evidence is not None else None if waiting else True
    return LinearizabilityVerdict(linearizable, chosen.name, evidence, orders, tuple(waiting), steps)
