"""Faults as data: a fault that exists is a valid one, prints as what makes it, and reads back from JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault import faults
from pytest_netfault.faults import (
    FAULTS,
    Blackhole,
    Chance,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Forget,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
    directions_of,
    fault_from_json,
    fault_to_json,
    limits_of,
)
from pytest_netfault.faults.base import fields_of, limit_names
from pytest_netfault.faults.limiting import simpler_forms, with_limits

DOCS = Path(__file__).parents[2] / "docs"
DAY = 86_400
HUGE = 2**63

seconds = st.one_of(st.integers(0, DAY), st.floats(0, DAY))
probabilities = st.one_of(st.sampled_from([0, 1]), st.floats(0, 1))
directions = st.sampled_from(["up", "down", "both"])
counts = st.integers(0, HUGE - 1)

connections = st.one_of(
    st.none(),
    st.integers(1, HUGE - 1),
    st.builds(range, st.integers(1, 9), st.integers(10, 10**6)),
    st.lists(st.integers(1, 99), min_size=1),
)
which = {"connections": connections, "share": st.none() | probabilities}
limits = {"seconds": st.none() | st.floats(0, DAY, exclude_min=True), **which}

any_fault: st.SearchStrategy[Fault] = st.one_of(
    st.builds(Sever, **limits),
    st.builds(Reset, **which),
    st.builds(Refuse, count=st.none() | st.integers(1, HUGE - 1), **limits),
    st.builds(StallAccept, **limits),
    st.builds(Forget, st.booleans(), **which),
    st.builds(Blackhole, directions, st.booleans(), st.sampled_from(["resume", "sever", "reset"]), **limits),
    st.builds(Delay, seconds, seconds, directions, heal_after=limits["seconds"], **which),
    st.builds(Throttle, st.floats(0, 2.0**62, exclude_min=True), directions, **limits),
    st.builds(Slice, st.integers(1, HUGE - 1), seconds, directions, **limits),
    st.builds(Corrupt, probabilities, directions, **limits),
    st.builds(Lose, probabilities, directions, **limits),
    st.builds(
        Cut,
        counts,
        directions,
        st.just(None),
        st.sampled_from(["fin", "rst", "blackhole"]),
        **limits,
    ),
    st.builds(Cut, counts, directions, st.integers(1, HUGE - 1), share=which["share"]),
)

# The arguments that are numbers: how to make a fault with one of them, and the numbers that are valid.
NUMBERS: dict[str, tuple[Any, float, float, bool]] = {
    "seconds": (lambda value: Delay(value), 0, DAY, False),
    "jitter": (lambda value: Delay(1, jitter=value), 0, DAY, False),
    "gap": (lambda value: Slice(1, gap=value), 0, DAY, False),
    "bytes_per_second": (lambda value: Throttle(value), 0, HUGE - 1, False),
    "probability": (lambda value: Corrupt(value), 0, 1, False),
    "size": (lambda value: Slice(value), 1, HUGE - 1, True),
    "after_bytes": (lambda value: Cut(value), 0, HUGE - 1, True),
    "connection": (lambda value: Cut(1, connection=value), 1, HUGE - 1, True),
    "count": (lambda value: Refuse(count=value), 1, HUGE - 1, True),
    "share": (lambda value: Sever(share=value), 0, 1, False),
}
numbers = pytest.mark.parametrize("name", NUMBERS)


@given(any_fault)
def test_a_fault_prints_as_the_expression_that_makes_it(fault: Fault) -> None:
    assert eval(repr(fault), dict(vars(faults))) == fault


@pytest.mark.slow
@given(any_fault)
def test_a_fault_reads_back_from_json(fault: Fault) -> None:
    assert fault_from_json(json.loads(json.dumps(fault_to_json(fault)))) == fault


@given(any_fault)
def test_a_fault_is_a_value(fault: Fault) -> None:
    assert dataclasses.replace(fault) == fault  # type: ignore[type-var]
    assert hash(dataclasses.replace(fault)) == hash(fault)  # type: ignore[type-var]
    for field in dataclasses.fields(fault):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(fault, field.name, None)


def test_every_fault_of_the_table_is_listed() -> None:
    assert {kind.__name__.lower() for kind in FAULTS} == {
        "sever", "reset", "refuse", "blackhole", "delay", "throttle", "slice", "corrupt", "lose", "cut", "stallaccept",
        "forget",
    }  # fmt: skip
    assert all(kind.__name__ in faults.__all__ for kind in FAULTS)


@numbers
@given(value=st.floats(allow_nan=True) | st.integers() | st.integers(-(10**400), 10**400))
def test_a_number_is_taken_or_refused_by_name(name: str, value: float) -> None:
    make, least, most, whole = NUMBERS[name]
    valid = (isinstance(value, int) or (math.isfinite(value) and not whole)) and least <= value <= most
    if name == "bytes_per_second" and value == 0:
        valid = False
    if valid:
        assert getattr(make(value), name) == value
    else:
        with pytest.raises((ValueError, TypeError), match=rf"^{name} must be "):
            make(value)


@numbers
@pytest.mark.parametrize(
    "value", [True, False, "1", b"1", None, 1j, [1], pytest.param(object(), id="object")], ids=repr
)
def test_what_is_no_number_is_refused_by_name(name: str, value: object) -> None:
    if name in ("connection", "count", "share") and value is None:
        make, *_ = NUMBERS[name]
        assert getattr(make(None), name) is None
        return
    with pytest.raises(TypeError, match=rf"^{name} must be a (whole )?number, not "):
        NUMBERS[name][0](value)


@numbers
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, -1, -1e-9, -0.5, 2**63, 10**5000],
    ids=lambda v: f"{v:.0e}" if v < 10**300 else "huge",
)
def test_numbers_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name} must be "):
        NUMBERS[name][0](value)


@pytest.mark.parametrize(
    "kind",
    [
        Blackhole,
        lambda way: Delay(1, direction=way),
        lambda way: Throttle(1, way),
        lambda way: Slice(1, direction=way),
        lambda way: Corrupt(0.5, way),
        lambda way: Lose(0.5, way),
        lambda way: Cut(1, direction=way),
    ],
)
@pytest.mark.parametrize("value", ["UP", "", "upstream", None, 1, True, ["up"]], ids=repr)
def test_a_direction_is_one_of_three_words(kind: Any, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^direction must be 'up', 'down' or 'both', not "):
        kind(value)


def test_other_words_are_checked_too() -> None:
    with pytest.raises(ValueError, match=r"^on_heal must be 'resume', 'sever' or 'reset', not 'fin'"):
        Blackhole(on_heal="fin")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^how must be 'fin', 'rst' or 'blackhole', not 'reset'"):
        Cut(1, how="reset")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^packets must be True or False, not 1"):
        Blackhole(packets=1)  # type: ignore[arg-type]


@pytest.mark.slow
@given(any_fault)
def test_the_directions_of_a_fault(fault: Fault) -> None:
    direction = getattr(fault, "direction", "both")
    assert directions_of(fault) == (("up", "down") if direction == "both" else (direction,))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ({}, "fault must be one of"),
        ({"fault": "explode"}, "fault must be one of .*delay.*, not 'explode'"),
        ({"fault": ["delay"]}, "fault must be one of"),
        ({"fault": "delay"}, "^delay: seconds must be given$"),
        ({"fault": "cut"}, "^cut: after_bytes must be"),
        ({"fault": "delay", "seconds": "1"}, "^delay: seconds must be a number"),
        ({"fault": "delay", "seconds": -1}, "seconds must be at least 0"),
        ({"fault": "delay", "seconds": 1, "minutes": 2}, "delay takes .*seconds.*, not minutes"),
        ({"fault": "sever", "direction": "up"}, "sever takes connections, seconds, share, not direction"),
    ],
)
def test_json_that_is_no_fault_is_refused_with_what_would_be_valid(data: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fault_from_json(data)


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_a_fault_has_a_row_for_users_and_one_that_leads_to_its_tests(kind: type[Fault]) -> None:
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()

    def row_of(page: str) -> str:
        (row,) = re.findall(rf"^\| \[`{method}\(.*", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        return str(row)

    row = row_of("faults.md")
    signature = row[row.index("(") + 1 : row.index(")")]
    assert signature == ", ".join(
        field.name for field in fields_of(kind) if field.name not in limit_names(kind)
    )
    tests = re.findall(
        r"\]\(https://github\.com/[^)]+/(?:blob|tree)/main/(tests/[^)]+)\)",
        row_of("contributing/where-tested.md"),
    )
    assert tests, "no test is named"
    for path in tests:
        text = (DOCS.parent / path).read_text(encoding="utf-8")
        assert f".{method}(" in text or f"{kind.__name__}(" in text or f"{kind.__name__}Stage(" in text, path


def test_json_may_call_a_fault_as_its_method_is_called() -> None:
    assert fault_from_json({"fault": "stall_accept", "seconds": 2}) == StallAccept(seconds=2)
    assert fault_to_json(StallAccept()) == {"fault": "stallaccept"}


class TestLimits:
    @given(any_fault)
    def test_they_are_told_whatever_their_arguments_are_called(self, fault: Fault) -> None:
        limits = limits_of(fault)
        assert limits.seconds == getattr(fault, "heal_after" if isinstance(fault, Delay) else "seconds")
        assert (limits.connections, limits.share) == (fault.connections, fault.share)
        assert bool(limits.words()) == bool(limits)

    @given(st.lists(st.integers(1, 30), min_size=1))
    def test_equal_numbers_are_equal_however_they_are_given(self, numbers: list[int]) -> None:
        faults = {Sever(connections=form(numbers)) for form in (list, tuple, set, frozenset, sorted, iter)}
        (fault,) = faults
        assert {n for n in range(1, 40) if limits_of(fault).holds_for(n, 1)} == set(numbers)

    @pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
    def test_each_fault_is_drawn_with_limits_and_shrinks_to_one_without(self, kind: type[Fault]) -> None:
        plain = kind.draw(Chance(lambda _: 0))
        for choice in range(6):
            limited = with_limits(plain, Chance(lambda n, choice=choice: choice % n))
            assert limited != plain
            assert limits_of(limited)
            assert fault_from_json(fault_to_json(limited)) == limited
            assert limited.complexity() > plain.complexity()
            assert plain in simpler_forms(limited)

    def test_a_limit_survives_while_other_arguments_are_made_simpler(self) -> None:
        fault = Blackhole("up", on_heal="reset", connections=range(1, 3))
        assert Blackhole(connections=range(1, 3)) in simpler_forms(fault)
        assert Blackhole("up", on_heal="reset", connections=1) in simpler_forms(fault)

    def test_the_one_argument_of_a_fault_that_has_the_name_of_a_limit(self) -> None:
        with pytest.raises(TypeError, match="seconds"):
            Delay()  # type: ignore[call-arg]
        assert limits_of(Delay(5)).seconds is None

    @pytest.mark.parametrize(
        "numbers", [{"from": 1}, {"from": 3, "to": 1}, {"from": 1, "to": "2"}, {"from": 1, "to": 2, "by": 1}]
    )
    def test_json_of_numbers_that_is_none(self, numbers: Any) -> None:
        with pytest.raises(ValueError, match=r"^connections must be a number, a list of them or"):
            fault_from_json({"fault": "sever", "connections": numbers})


@pytest.mark.parametrize(
    ("fault", "one"),
    [
        (Cut(5, connection=2), True),
        (Cut(5, connections=2), True),
        (Cut(5, connections=(2, 3)), False),
        (Cut(5), False),
        (Sever(), False),
    ],
)
def test_a_fault_knows_whether_it_is_for_one_connection(fault: Fault, one: bool) -> None:
    assert fault.names_one_connection() is one
