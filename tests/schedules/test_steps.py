from __future__ import annotations

import json

import pytest
from hypothesis import given

import pytest_netfault.schedules as names
from pytest_netfault.schedules import (
    Break,
    Cut,
    Delete,
    Schedule,
    Sever,
    Subscribe,
    WaitForBytes,
    WaitForEvents,
    Write,
    WriteMany,
    schedules,
)
from pytest_netfault.schedules.schedule import wrapped
from pytest_netfault.schedules.steps import STEPS, step_from_json, step_to_json, writes_of

EVERYTHING = ("compact", "restart", "pause", "many")


@given(schedules(abilities=EVERYTHING))
def test_a_schedule_prints_as_the_expression_that_makes_it(schedule: Schedule) -> None:
    assert eval(str(schedule), vars(names).copy()) == schedule
    assert eval(wrapped(schedule, width=40), vars(names).copy()) == schedule


@given(schedules(abilities=EVERYTHING))
def test_a_schedule_goes_to_json_and_back(schedule: Schedule) -> None:
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


def test_a_fault_that_waits_for_the_recovery_names_its_connections() -> None:
    step = Break(Cut(7, connection=2), in_recovery=True)
    assert repr(step) == "Break(Cut(7, connection=2), in_recovery=True)"
    assert step_from_json(step_to_json(step)) == step
    assert step.fault.numbered_after(3) == Cut(7, connection=5)
    assert Sever(connections=range(1, 3)).numbered_after(3) == Sever(connections=range(4, 6))
    assert Sever(connections=(1, 4)).numbered_after(1) == Sever(connections=(2, 5))
    assert Sever().numbered_after(3) == Sever()
    assert step.with_fault(Sever()) == Break(Sever())
    with pytest.raises(
        ValueError, match="in_recovery must be False for a fault that names no connection, not Sever"
    ):
        Break(Sever(), in_recovery=True)


@given(schedules())
def test_a_wrapped_schedule_is_narrow_unless_one_step_is_wide(schedule: Schedule) -> None:
    assert all(len(line) <= 90 for line in wrapped(schedule, width=90, indent="  ").splitlines())


def test_every_step_is_public() -> None:
    assert {kind.__name__ for kind in STEPS} <= set(names.__all__)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Write("A"), ValueError, "key must be dotted lower-case words such as 'a' .*, not 'A'"),
        (lambda: Write(""), ValueError, "not ''"),
        (lambda: Write(1), TypeError, "key must be a string, not 1"),
        (lambda: Write("a", via="proxy"), ValueError, "via must be 'direct' or 'link', not 'proxy'"),
        (lambda: Write("a", repeat=1), TypeError, "repeat must be True or False, not 1"),
        (lambda: Delete("a."), ValueError, "not 'a.'"),
        (lambda: WriteMany("ab"), TypeError, "keys must be a tuple of keys, not 'ab'"),
        (lambda: WriteMany(()), ValueError, "at least one key and each only once"),
        (lambda: WriteMany(("a",), deletes=("a",)), ValueError, "each only once, not"),
        (lambda: Break(Sever), TypeError, "fault must be a fault such as Sever"),
        (lambda: WaitForEvents(0), ValueError, "events must be at least 1, not 0"),
        (lambda: WaitForEvents(True), TypeError, "events must be a whole number, not True"),
        (lambda: WaitForBytes(1, "both"), ValueError, "direction must be 'up' or 'down', not 'both'"),
        (lambda: Schedule(["Sever"]), TypeError, "made of steps such as .*, not 'Sever'"),
        (lambda: Schedule([]), ValueError, "exactly one Subscribe.*, not 0"),
        (lambda: Schedule([Subscribe(), Subscribe()]), ValueError, "exactly one Subscribe.*, not 2"),
        (lambda: Schedule.from_json([]), ValueError, 'JSON object with "steps"'),
        (lambda: Schedule.from_json({"steps": [{"step": "subscribe"}, 7]}), ValueError, "step 2: .* not 7"),
        (lambda: step_from_json({"step": "jump"}), ValueError, "step must be one of break, .*, not 'jump'"),
        (
            lambda: step_from_json({"step": "heal", "fast": True}),
            ValueError,
            "heal takes no arguments, not fast",
        ),
        (lambda: step_from_json({"step": "write"}), ValueError, "^write: key must be given$"),
        (lambda: step_from_json({"step": "passed"}), ValueError, "^passed: count must be given$"),
        (lambda: step_from_json({"step": "break"}), ValueError, "^break: fault must be given$"),
        (
            lambda: step_from_json({"step": "break", "fault": {"fault": "x"}}),
            ValueError,
            "fault must be one of",
        ),
    ],
)
def test_bad_input_is_refused_by_name(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_lists_become_tuples_and_steps_are_values() -> None:
    step = WriteMany(["a", "b"])  # type: ignore[arg-type]
    assert step == WriteMany(("a", "b"))
    assert hash(Schedule([Subscribe(), step])) == hash(Schedule((Subscribe(), WriteMany(("a", "b")))))


def test_arguments_that_are_defaults_are_not_printed() -> None:
    assert repr(Write("a", via="link", repeat=True)) == "Write('a', via='link', repeat=True)"
    assert repr(WaitForEvents()) == "WaitForEvents()"
    assert repr(Break(Cut(3, how="rst"))) == "Break(Cut(3, how='rst'))"
    assert step_to_json(WaitForEvents()) == {"step": "seen"}


def test_what_a_step_writes() -> None:
    assert writes_of(Subscribe()) == ()
    schedule = Schedule([Subscribe(), Write("a", beside=True), Delete("b"), Break(Sever())])
    assert schedule.writes == 1
    assert schedule.faults == 1
