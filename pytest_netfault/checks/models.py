"""What a store is expected to do: models, as plain functions over the value of one key.

A history is judged key by key (linearizability is local: a history is linearizable exactly if the part of
each key is; Herlihy and Wing 1990), so that a model says what one operation does to one value.
``None`` is "no value". The two models differ in the operations that they take, not in what these do.

``step`` returns the new value, or ``IMPOSSIBLE`` where the answer that was given cannot be explained from this value.

>>> step("a", Effect("append", "b")), step(None, Effect("append", "b")), step("a", Effect("read", "b"))
('ab', 'b', <impossible>)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_netfault.checks.history import READS, Operation
from pytest_netfault.checks.reading import FormatError
from pytest_netfault.checks.values import freeze

__all__ = ["IMPOSSIBLE", "MODELS", "Effect", "Model", "effect_of", "implied_model", "model_named", "step"]


class _Impossible:
    def __repr__(self) -> str:
        return "<impossible>"


IMPOSSIBLE = _Impossible()


class Effect(NamedTuple):
    """What an operation does to a value, and what it says about it.

    ``read`` found ``value``; ``differs`` found anything but ``value``; ``write`` leaves ``value``; ``append`` adds it
    to the string that is there; ``cas`` found ``value`` and left ``to``.
    """

    kind: Literal["read", "differs", "write", "append", "cas"]
    value: Hashable
    to: Hashable = None


def step(state: Hashable, effect: Effect) -> Hashable | _Impossible:
    """The value after an operation, or ``IMPOSSIBLE``."""
    kind, value, to = effect
    if kind == "read":
        return state if state == value else IMPOSSIBLE
    if kind == "write":
        return value
    if kind == "cas":
        return to if state == value else IMPOSSIBLE
    if kind == "differs":
        return state if state != value else IMPOSSIBLE
    if state is None:
        return value
    # Appending to a number is not defined, so that no answer can be explained by it.
    return f"{state}{value}" if isinstance(state, str) else IMPOSSIBLE


@dataclass(frozen=True)
class Model:
    """A kind of store.

    Attributes:
        name: what ``--model`` takes.
        ops: the operations that it has.
        needs_key: every operation names a key. Otherwise a key is allowed, and each is a register of its own.
    """

    name: str
    ops: frozenset[str]
    needs_key: bool


REGISTER = Model("register", frozenset({"read", "write", "cas"}), needs_key=False)
KV = Model("kv", frozenset({"get", "put", "append", "delete", "cas", "read", "write"}), needs_key=True)
MODELS = {"register": REGISTER, "cas-register": REGISTER, "kv": KV, "keyed-store": KV}


def model_named(name: str) -> Model:
    """The model of that name.

    Raises:
        ValueError: there is none; the message names those that there are.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ValueError(f"there is no model {name!r}; the models are {', '.join(MODELS)}") from None


def implied_model(operations: Iterable[Operation]) -> Model:
    """The model that the operations imply: a register, unless one of them is of a keyed store."""
    return KV if any(one.op not in REGISTER.ops for one in operations) else REGISTER


def check_fits(operations: Iterable[Operation], model: Model) -> None:
    """Raise FormatError, with its line, for an operation that the model does not have."""
    for one in operations:
        if one.op not in model.ops:
            raise FormatError(f"the model {model.name} has no {one.op}", line=one.lines[0])
        if model.needs_key and one.key is None:
            raise FormatError(
                f'{one.op} has no "key", and the model {model.name} needs one', line=one.lines[0]
            )


def effect_of(operation: Operation) -> Effect | None:
    """What an operation did or may have done; None if it says nothing (it failed, or is a read without an answer)."""
    if operation.op in READS:
        return Effect("read", freeze(operation.answer)) if operation.outcome == "ok" else None
    if operation.outcome == "fail":
        return Effect("differs", freeze(operation.value[0])) if operation.compare_failed else None
    if operation.op == "cas":
        return Effect("cas", freeze(operation.value[0]), freeze(operation.value[1]))
    if operation.op == "append":
        return Effect("append", operation.value)
    return Effect("write", None if operation.op == "delete" else freeze(operation.value))
