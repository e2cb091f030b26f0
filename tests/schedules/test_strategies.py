from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from pytest_netfault.schedules import Break, Compact, Reset, Schedule, Subscribe, Write, schedules

# A search that must not depend on what an earlier one saved.
_SEARCH = settings(database=None, suppress_health_check=list(HealthCheck), deadline=None, max_examples=500)


@given(schedules(faults=[Reset]))
def test_a_property_gets_schedules(schedule: Schedule) -> None:
    assert all(step.fault == Reset() for step in schedule if isinstance(step, Break))


def test_hypothesis_shrinks_to_a_handful_of_steps() -> None:
    def loses(schedule: Schedule) -> bool:
        return any(
            isinstance(one, Break) and isinstance(two, Write) and two.via == "link"
            for one, two in zip(schedule.steps, schedule.steps[1:], strict=False)
        )

    small = find(schedules(), loses, settings=settings(_SEARCH, phases=[Phase.generate, Phase.shrink]))
    assert len(small) <= 8, small
    assert {type(step) for step in small} >= {Subscribe, Break, Write}


def test_abilities_are_drawn_when_given() -> None:
    found = find(
        schedules(abilities=["compact"]),
        lambda one: any(isinstance(step, Compact) for step in one),
        settings=_SEARCH,
    )
    assert Compact() in found.steps


def test_bad_arguments_are_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="at least one fault"):
        schedules(faults=[])
    with pytest.raises(TypeError, match="not 'x'"):
        schedules(faults=["x"])  # type: ignore[list-item]


def test_without_hypothesis_one_sentence_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import pytest_netfault.schedules as s\n"
        "from pytest_netfault import verify\n"
        "try: s.schedules\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'pytest-netfault[hypothesis]'" in done.stdout
    assert done.stdout.count("\n") == 1
