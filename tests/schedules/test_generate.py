from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.faults import FAULTS, Corrupt, Cut, Reset, Sever, limits_of
from pytest_netfault.schedules import (
    Break,
    Compact,
    Heal,
    Pause,
    Restart,
    Schedule,
    WaitForBytes,
    Write,
    WriteMany,
)
from pytest_netfault.schedules.generate import ALL, FaultMix, draw_schedule, seeded
from pytest_netfault.schedules.steps import STEPS, writes_of

EVERYTHING = frozenset(("compact", "restart", "pause", "many"))


@given(st.integers(), st.integers(0, 10_000), st.frozensets(st.sampled_from(sorted(EVERYTHING))))
def test_each_drawing_can_be_played(seed: int, number: int, abilities: frozenset[str]) -> None:
    schedule = seeded(seed, number, FaultMix(ALL, abilities))  # type: ignore[arg-type]
    assert schedule.writes + sum(getattr(step, "beside", False) for step in schedule)
    assert schedule.faults
    assert len(schedule) <= 40
    needs = {Compact: "compact", Pause: "pause", Restart: "restart", WriteMany: "many"}
    for step in schedule:
        assert needs.get(type(step), "") in {"", *abilities}


def test_the_simplest_drawing_is_simple() -> None:
    assert repr(draw_schedule(lambda _: 0, FaultMix())) == (
        "Schedule([Subscribe(), Break(Sever()), Write('a'), Heal()])"
    )


def test_only_the_given_faults_are_drawn_and_instances_as_they_are() -> None:
    mix = FaultMix((Reset, Cut(17, how="rst")))
    drawn = {
        step.fault for number in range(100) for step in seeded(1, number, mix) if isinstance(step, Break)
    }
    assert {fault for fault in drawn if not limits_of(fault)} == {Reset(), Cut(17, how="rst")}
    assert {type(fault) for fault in drawn if limits_of(fault)} == {Reset}, (
        "a class is drawn with limits, too"
    )


def test_every_kind_of_step_and_fault_comes_up_soon() -> None:
    mix = FaultMix(ALL, EVERYTHING)  # type: ignore[arg-type]
    steps = [step for number in range(300) for step in seeded(0, number, mix)]
    assert {type(step) for step in steps} == set(STEPS)
    assert {type(step.fault) for step in steps if isinstance(step, Break)} == set(FAULTS) - {Corrupt}
    assert any(isinstance(step, Write) and step.repeat for step in steps)
    assert any(isinstance(step, Write) and step.beside for step in steps)


def test_most_schedules_write_while_something_is_broken() -> None:
    def writes_in_an_outage(schedule: Schedule) -> bool:
        broken = False
        for step in schedule:
            if isinstance(step, Break):
                broken = True
            elif broken and writes_of(step):
                return True
        return False

    drawn = [seeded(3, number, FaultMix()) for number in range(200)]
    assert sum(map(writes_in_an_outage, drawn)) > 180


def test_an_early_cut_is_not_healed_before_the_subscriber_has_come_back_into_it() -> None:
    def waits_for_its_cut(schedule: Schedule) -> bool:
        cuts = {
            step.fault.after_bytes
            for step in schedule
            if isinstance(step, Break) and isinstance(step.fault, Cut) and step.fault.direction == "down"
        }
        return any(
            isinstance(step, WaitForBytes) and step.count in cuts and isinstance(after, Heal)
            for step, after in zip(schedule.steps, schedule.steps[1:], strict=False)
        )

    drawn = [seeded(4, number, FaultMix()) for number in range(200)]
    assert sum(map(waits_for_its_cut, drawn)) > 10
    assert sum(map(waits_for_its_cut, (seeded(4, number, FaultMix((Reset,))) for number in range(50)))) == 0


def test_the_same_seed_draws_the_same_in_another_process() -> None:
    code = (
        "from pytest_netfault.schedules.generate import FaultMix, seeded\n"
        "for number in range(20): print(seeded(42, number, FaultMix()))"
    )
    here = "".join(f"{seeded(42, number, FaultMix())}\n" for number in range(20))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout == here


@pytest.mark.parametrize(
    ("faults", "error", "message"),
    [
        ((), ValueError, "at least one fault"),
        (Sever, TypeError, "faults must be a list of faults"),
        (Sever(), TypeError, "faults must be a list of faults"),
        (("sever",), TypeError, "faults must hold faults such as .*, not 'sever'"),
        ((int,), TypeError, "not <class 'int'>"),
        (7, TypeError, "not 7"),
    ],
)
def test_bad_palettes_are_refused(faults: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FaultMix(faults)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"abilities are compact, .*, not 'fly'"):
        FaultMix(ALL, frozenset(["fly"]))  # type: ignore[list-item]


def test_limits_of_each_kind_are_drawn_now_and_then_and_change_nothing_else() -> None:
    mix = FaultMix(ALL, EVERYTHING)  # type: ignore[arg-type]
    drawn = [
        step.fault for number in range(400) for step in seeded(0, number, mix) if isinstance(step, Break)
    ]
    limits = [limits_of(fault) for fault in drawn if limits_of(fault)]
    assert len(drawn) / 20 < len(limits) < len(drawn) / 5
    for name in ("seconds", "connections", "share", "attempts"):
        assert any(getattr(one, name) is not None for one in limits), name


@pytest.mark.parametrize("number", range(60))
def test_without_its_limits_a_schedule_is_the_one_that_it_would_be(number: int) -> None:
    def bare(schedule: Schedule) -> list[object]:
        return [type(step.fault) if isinstance(step, Break) else step for step in schedule]

    mix = FaultMix(ALL)
    plain = draw_schedule(random.Random(f"netfault 3 {number}").randrange, mix, limits=lambda _: 0)
    assert bare(seeded(3, number, mix)) == bare(plain)
