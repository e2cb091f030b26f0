"""JSON as Go reads and writes it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.serve.errors import PROXY_NOT_FOUND, ApiError
from pytest_netfault.serve.wire import Fields, decoded, encoded, float32


def test_numbers_are_as_short_as_go_writes_them() -> None:
    numbers = {
        1.0: "1",
        0.2: "0.2",
        1e-06: "0.000001",
        1e-07: "1e-7",
        1e21: "1e+21",
        123456789.5: "123456789.5",
    }
    numbers |= {1.5e-05: "0.000015", -2.0: "-2", 0.99: "0.99", 2.5e-10: "2.5e-10"}
    for number, text in numbers.items():
        assert encoded(number) == text.encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back(number: float) -> None:
    assert json.loads(encoded(number)) == number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_is_the_shortest_that_comes_back(number: float) -> None:
    assert float32(float32(number)) == float32(number)
    assert len(repr(float32(number))) <= len(repr(number))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcXYZ<>&é", max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_what_is_written_is_read(value: object) -> None:
    text = encoded(value)
    assert json.loads(text) == value
    assert not {b"<"[0], b">"[0], b"&"[0]}.intersection(text)


@given(st.binary(max_size=200))
def test_any_body_is_a_value_or_a_bad_request(body: bytes) -> None:
    reason = None
    try:
        fields = Fields(decoded(body))
        fields.text("name", "")
        fields.whole("n", 0)
        fields.single("toxicity", 1)
    except ApiError as error:
        reason = error
    assert reason is None or (reason.status == 400 and reason.text.startswith("bad request body: "))


@pytest.mark.parametrize("number", ["1e400", "1" * 5000, "-9223372036854775809", "0.5"])
def test_a_number_that_is_none_of_64_bits(number: str) -> None:
    fields = Fields(decoded(b'{"n": ' + number.encode() + b"}"))
    with pytest.raises(ApiError, match="cannot unmarshal number"):
        fields.whole("n", 0)


def test_the_last_of_several_counts_and_null_does_not() -> None:
    fields = Fields(decoded(b'{"a": 1, "A": 2, "a": null, "b": null}'))
    assert fields.whole("a", 0) == 2
    assert fields.whole("b", 9) == 9
    assert Fields(decoded(b'{"a": "\\ud800"}')).text("a", "") == "\ufffd"


def test_an_error_that_is_raised_again_keeps_nothing_of_before() -> None:
    def depth() -> int:
        with pytest.raises(ApiError) as caught:
            raise PROXY_NOT_FOUND()
        trace, frames = caught.value.__traceback__, 0
        while trace is not None:
            trace, frames = trace.tb_next, frames + 1
        return frames

    assert depth() == depth() == depth()
