"""Whatever a codec encodes it decodes again, to the same value: for every kind of value that there is."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runtime_config import JSON, EncodeError, Key
from runtime_config._coding import decode, encode
from runtime_config.codecs import MAX_DEPTH, MAX_DIGITS


class Tier(enum.Enum):
    FREE = "f"
    PAID = "p"
    GRATIS = "f"  # noqa: PIE796 - another name of FREE


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Inner:
    weights: dict[str, float] = field(default_factory=dict)
    pair: tuple[int, str] | None = None


@dataclass
class Limits:
    count: int = 0
    rate: float = 0.0
    tier: Tier = Tier.FREE
    names: list[str] = field(default_factory=list)
    inner: Inner = Inner()
    anything: Any = None


@dataclass(eq=False)
class WithoutEquality:
    inner: Inner = Inner()


@dataclass
class Unreadable:
    names: Sequence[str] = ()


KINDS: list[Any] = [
    str,
    bytes,
    int,
    float,
    bool,
    dict,
    list,
    JSON,
    Tier,
    Right,
    Colour,
    Limits,
    WithoutEquality,
]
KEYS = [Key(f"symmetry.k{n}", kind) for n, kind in enumerate(KINDS)]

numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from(
        [10**4100, -(10**4100), 10**MAX_DIGITS, 10**MAX_DIGITS - 1, 10**400, 2**53 + 1, Level.LOW]
    ),
)
leaves = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.text(st.characters()),
    st.binary(max_size=5),
    st.sampled_from([*Tier, *Colour, Right(0), Right.READ, Right.READ | Right.WRITE]),
)
shapes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.sampled_from(Colour), inner, max_size=3),
    ),
    max_leaves=8,
)
# Fields of any type at all: a dataclass checks none of them.
objects = st.one_of(
    st.builds(Inner, weights=shapes, pair=shapes),
    st.builds(Limits, shapes, numbers, leaves, shapes, st.builds(Inner, pair=shapes) | leaves, shapes),
    st.builds(WithoutEquality, st.builds(Inner, weights=st.dictionaries(st.text(), st.floats()))),
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def same(value: Any, back: Any) -> bool:
    if isinstance(value, WithoutEquality):
        return isinstance(back, WithoutEquality) and value.inner == back.inner
    if isinstance(value, float) and math.isnan(value):
        return isinstance(back, float) and math.isnan(back)
    return bool(value == back)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key.codec))
@settings(max_examples=150, deadline=None)
@given(value=shapes | objects)
@example(10**4100)
@example(nested(MAX_DEPTH + 1))
@example(Right.READ | Right.WRITE)
@example(Limits(count=10**4100))
@example(Limits(anything=(1, 2)))
@example(Limits(names=["\ud800"]))
def test_whatever_encodes_decodes(key: Key[Any], value: Any) -> None:
    try:
        raw = encode(key, value)
    except EncodeError:
        return
    assert same(value, decode(key, raw))


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (int, 10**MAX_DIGITS, "at most 4000 digits"),
        (int, -(10**5000), "at most 4000 digits"),
        (list, [{"a": 10**4100}], "at most 4000 digits"),
        (float, 2**53 + 1, "is no float"),
        (list, nested(MAX_DEPTH + 1), "nested at most 200 deep"),
        (Right, Right.READ | Right.WRITE, "has no name of its own"),
        (Limits, Limits(anything=(1, 2)), "would come back as"),
        (Limits, Limits(count=1.5), "should be a whole number"),  # type: ignore[arg-type]
        (Unreadable, Unreadable(["a"]), "cannot be read from JSON"),
    ],
    ids=itertools.count(),
)
def test_what_would_not_come_back_is_refused_with_the_reason(kind: Any, value: Any, reason: str) -> None:
    with pytest.raises(EncodeError, match=reason) as caught:
        encode(Key("symmetry.refused", kind), value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 10**MAX_DIGITS - 1),
        (int, 1 - 10**MAX_DIGITS),
        (float, 10**15),
        (list, nested(MAX_DEPTH)),
        (Tier, Tier.GRATIS),
        (str, Colour.RED),
        (int, Level.LOW),
        (Limits, Limits(5, 1, Tier.PAID, ["a"], Inner({"x": 2}, (1, "b")), [1, {"a": None}])),
    ],
    ids=itertools.count(),
)
def test_what_comes_back_is_taken(kind: Any, value: Any) -> None:
    key: Key[Any] = Key("symmetry.taken", kind)
    assert decode(key, encode(key, value)) == value


def test_a_subclass_of_a_dataclass_would_lose_its_fields() -> None:
    @dataclass
    class More(Limits):
        extra: int = 5

    with pytest.raises(EncodeError, match="would come back as Limits"):
        encode(Key("symmetry.base", Limits), More())
    assert dataclasses.is_dataclass(More)
