"""A place in a frame, as data: its forms, its JSON, its errors, and how a cut at one is drawn and made smaller."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_netfault
from pytest_netfault.faults import Chance, Cut, Frame, fault_from_json, fault_to_json
from pytest_netfault.framers import PROTOCOLS
from pytest_netfault.schedules import Break, Schedule, Subscribe, Write, schedules
from pytest_netfault.schedules.generate import FaultMix, seeded
from pytest_netfault.schedules.schedule import imports_for

FRAMES = st.builds(
    Frame,
    st.sampled_from(PROTOCOLS),
    index=st.integers(1, 2**40),
    type=st.none() | st.sampled_from(["PING", "Watch response", "it's"]),
    where=st.sampled_from(["start", "middle", "end"]) | st.integers(-(2**40), 2**40),
)
CUTS = st.builds(
    Cut,
    direction=st.sampled_from(["up", "down", "both"]),
    connection=st.none() | st.integers(1, 9),
    how=st.sampled_from(["fin", "rst", "blackhole"]),
    at=FRAMES,
)


@given(CUTS)
def test_a_cut_at_a_frame_prints_and_is_kept_as_what_makes_it_again(cut: Cut) -> None:
    assert eval(repr(cut), vars(pytest_netfault) | {"Cut": Cut, "Frame": Frame}) == cut
    assert fault_from_json(json.loads(json.dumps(fault_to_json(cut)))) == cut
    schedule = Schedule([Subscribe(), Break(cut), Write("a")])
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


@given(CUTS)
def test_it_shrinks_and_comes_to_an_end(cut: Cut) -> None:
    for _ in range(500):
        simpler = [one for one in cut.simpler() if one.complexity() < cut.complexity()]
        if not simpler:
            break
        assert all(isinstance(one, Cut) and one.at is not None for one in simpler)
        cut = simpler[0]  # type: ignore[assignment]
    assert cut == Cut(at=Frame(cut.at.protocol, index=1, type=cut.at.type))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Frame("resp", 3), Frame("redis", index=3)),
        (Frame("resp", 3), Frame("RESP", which=3, where="start")),
        (Frame("grpc", "Watch response"), Frame("http2", type="Watch response", index=1)),
        (Frame("http2", 2, "Watch response"), Frame("http2", "Watch response", index=2)),
    ],
)
def test_the_same_place_has_several_spellings(one: Frame, other: Frame) -> None:
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("arguments", "named", "error", "message"),
    [
        (("smtp", 1), {}, ValueError, r"^protocol must be one of amqp, http1, .*, not 'smtp'$"),
        ((7, 1), {}, TypeError, "^protocol must be a name such as 'resp', not 7$"),
        (("resp",), {}, ValueError, "by its number or its type"),
        (("resp", 0), {}, ValueError, "^index must be at least 1"),
        (("resp", True), {}, TypeError, "^index must be a whole number, not True$"),
        (("resp", ""), {}, ValueError, "^type must be the name of a type"),
        (("resp", "a", "b"), {}, ValueError, "one type, not 'a' and 'b'$"),
        (("resp", 1), {"index": 2}, ValueError, "one index, not 1 and 2$"),
        (("resp", 1), {"where": "inside"}, ValueError, "^where must be 'start', 'middle', 'end' or a number"),
        (("resp", 1), {"where": 1.5}, TypeError, "^where must be 'start', 'middle', 'end' or a number"),
        (("resp", 1), {"where": 2**63}, ValueError, r"^where must be below 2\*\*63"),
    ],
)
def test_what_is_no_place_is_refused_in_one_sentence(
    arguments: Any, named: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Frame(*arguments, **named)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"index": 1}, "no protocol"),
        ({"protocol": "resp", "index": 1, "more": 2}, "not more"),
        ("resp", "at must be a Frame"),
        ({"protocol": "resp", "index": 0}, "index must be at least 1"),
    ],
)
def test_json_that_is_no_place_is_refused(at: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fault_from_json({"fault": "cut", "at": at})


def test_a_schedule_that_is_pasted_imports_what_it_needs() -> None:
    schedule = Schedule([Subscribe(), Break(Cut(at=Frame("resp", 2)))])
    assert imports_for(schedule) == "from pytest_netfault import Break, Cut, Frame, Schedule, Subscribe"


def test_cuts_are_drawn_at_frames_where_the_protocol_is_named() -> None:
    drawn = [Cut.draw(Chance(random.Random(seed).randrange, protocol="resp")) for seed in range(200)]
    assert {one.at.where for one in drawn if one.at is not None} == {"start", "middle", "end", -1}
    assert 60 < sum(one.at is not None for one in drawn) < 140
    without = [Cut.draw(Chance(random.Random(seed).randrange)) for seed in range(50)]
    assert all(one.at is None for one in without)
    mix = FaultMix((Cut,), protocol="redis")
    assert "Frame('resp', " in str([seeded(1, number, mix) for number in range(20)])
    with pytest.raises(ValueError, match="protocol must be one of"):
        schedules(protocol="smtp")
