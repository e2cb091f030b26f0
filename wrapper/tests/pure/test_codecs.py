"""Values to bytes and back: strict, and the same after a round trip."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_config import JSON, Codec, Key
from runtime_config.codecs import codec_for

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Tier(enum.Enum):
    FREE = "f"
    PAID = "p"


@dataclass(frozen=True)
class Backends:
    hosts: tuple[str, ...]
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    rate: float
    tier: Tier = Tier.FREE
    burst: int | None = None
    mode: Literal["soft", "hard"] = "soft"
    backends: list[Backends] = field(default_factory=list)


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (str, "grüße", "grüße".encode()),
        (int, -17, b"-17"),
        (float, 2.5, b"2.5"),
        (float, 3, b"3.0"),
        (bool, True, b"true"),
        (bytes, b"\x00\xff", b"\x00\xff"),
        (dict, {"b": [1], "a": None}, b'{"a":null,"b":[1]}'),
        (list, ["x", 1.5], b'["x",1.5]'),
        (Tier, Tier.PAID, b"PAID"),
        (JSON, "text", b'"text"'),
    ],
)
def test_what_is_stored_is_what_a_person_would_type(kind: Any, value: Any, stored: bytes) -> None:
    codec = codec_for(kind)
    assert codec.encode(value) == stored
    assert codec.decode(stored) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (bool, 1),
        (str, b"x"),
        (str, "\ud800"),
        (bytes, "x"),
        (float, True),
        (dict, {1: "x"}),
        (dict, []),
        (list, ({"a": (1, 2)},)),
        (JSON, math.nan),
        (JSON, {1}),
        (JSON, [(1, 2)]),
        (Tier, "FREE"),
        (Limits, {"rate": 1.0}),
    ],
)
def test_a_value_of_another_type_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        codec_for(kind).encode(value)


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (int, b"1.0"),
        (int, b""),
        (int, b"1_000"),
        (bool, b"yes"),
        (float, b"one"),
        (str, b"\xff"),
        (dict, b"[]"),
        (JSON, b"{'a': 1}"),
        (JSON, b"NaN"),
        (Tier, b"f"),
        (Limits, b"{}"),
        (Limits, b'{"rate": "fast"}'),
        (Limits, b'{"rate": 1, "tier": "GOLD"}'),
        (Limits, b'{"rate": 1, "burst": true}'),
        (Limits, b'{"rate": 1, "mode": "none"}'),
        (Limits, b'{"rate": 1, "backends": [{"hosts": [1]}]}'),
    ],
)
def test_bytes_of_another_type_are_refused(kind: Any, stored: bytes) -> None:
    with pytest.raises(ValueError):
        codec_for(kind).decode(stored)


@given(st.integers())
def test_any_int_comes_back(value: int) -> None:
    assert codec_for(int).decode(codec_for(int).encode(value)) == value


@given(st.floats(allow_nan=False))
def test_any_float_comes_back(value: float) -> None:
    assert codec_for(float).decode(codec_for(float).encode(value)) == value


@given(st.text())
def test_any_text_comes_back(value: str) -> None:
    assert codec_for(str).decode(codec_for(str).encode(value)) == value


@pytest.mark.slow
@given(json_values)
def test_any_json_comes_back(value: object) -> None:
    assert codec_for(JSON).decode(codec_for(JSON).encode(value)) == value


@given(st.binary(max_size=40), st.sampled_from([str, int, float, bool, dict, list, Tier, Limits, JSON]))
def test_any_bytes_are_a_value_or_a_value_error(raw: bytes, kind: Any) -> None:
    try:
        codec_for(kind).decode(raw)
    except ValueError:
        pass


@pytest.mark.slow
@given(
    st.builds(
        Limits,
        rate=st.floats(allow_nan=False, allow_infinity=False),
        tier=st.sampled_from(Tier),
        burst=st.none() | st.integers(),
        mode=st.sampled_from(["soft", "hard"]),
        backends=st.lists(
            st.builds(
                Backends,
                hosts=st.lists(st.text()).map(tuple),
                weights=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
            ),
            max_size=3,
        ),
    )
)
def test_any_dataclass_comes_back(value: Limits) -> None:
    codec = codec_for(Limits)
    assert codec.decode(codec.encode(value)) == value


def test_two_releases_can_share_a_dataclass() -> None:
    newer = json.dumps({"rate": 1.5, "added_later": [1, 2]}).encode()
    assert codec_for(Limits).decode(newer) == Limits(1.5)


def test_a_codec_of_the_users_own() -> None:
    class Hex:
        def encode(self, value: int, /) -> bytes:
            return f"{value:x}".encode()

        def decode(self, raw: bytes, /) -> int:
            return int(raw, 16)

    assert isinstance(Hex(), Codec)
    key = Key("codecs.own", Hex(), default=255)
    assert key.codec.decode(key.codec.encode(31)) == 31


@pytest.mark.parametrize("kind", [object, set, "int", None, 5, Hex if (Hex := type("Hex", (), {})) else None])
def test_a_type_without_a_codec_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="has no codec"):
        codec_for(kind)
