from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, find, given, settings, target
from hypothesis.database import InMemoryExampleDatabase, ReadOnlyDatabase
from hypothesis.errors import InvalidArgument

from pytest_netfault import schedules as public
from pytest_netfault.schedules import (
    Break,
    Compact,
    Delete,
    Reset,
    Schedule,
    Sever,
    Subscribe,
    Write,
    WriteMany,
    schedules,
)
from pytest_netfault.schedules.shrink import TROUBLE

# A search that must not depend on what an earlier one saved.
_SEARCH = settings(database=None, suppress_health_check=list(HealthCheck), deadline=None, max_examples=500)


@pytest.mark.slow
@given(schedules(faults=[Reset]))
def test_a_property_gets_schedules(schedule: Schedule) -> None:
    assert all(type(step.fault) is Reset for step in schedule if isinstance(step, Break))


@given(schedules(abilities=["compact", "restart", "pause", "many"]))
def test_each_breaks_something_and_puts_something_that_must_arrive_after_that(schedule: Schedule) -> None:
    broken = next(place for place, step in enumerate(schedule.steps) if isinstance(step, TROUBLE))
    assert any(
        (isinstance(step, Write) and not step.beside) or (isinstance(step, WriteMany) and step.keys)
        for step in schedule.steps[broken:]
    )


def test_the_smallest_is_an_outage_with_a_write_in_it() -> None:
    assert minimal() == Schedule([Subscribe(), Break(Sever()), Write("a")])


def minimal() -> Schedule:
    return find(
        schedules(), lambda _: True, settings=settings(_SEARCH, phases=[Phase.generate, Phase.shrink])
    )


def test_hypothesis_shrinks_to_a_handful_of_steps() -> None:
    def loses(schedule: Schedule) -> bool:
        return any(
            isinstance(one, Break) and isinstance(two, Write) and two.via == "link"
            for one, two in zip(schedule.steps, schedule.steps[1:], strict=False)
        )

    small = find(schedules(), loses, settings=settings(_SEARCH, phases=[Phase.generate, Phase.shrink]))
    assert len(small) <= 8, small
    assert {type(step) for step in small} >= {Subscribe, Break, Write}


@pytest.mark.slow
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


@pytest.mark.slow
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


# -- as every other strategy: the database, targets, profiles, seeds ------------------------------------------------


def _loses_deletes(schedule: Schedule) -> bool:
    return any(isinstance(step, Delete) for step in schedule)


def _has_profile(name: str) -> bool:
    try:
        settings.get_profile(name)
    except InvalidArgument:
        return False
    return True


def test_what_failed_is_kept_in_the_database_and_tried_first() -> None:
    database = InMemoryExampleDatabase()
    tried: list[Schedule] = []

    def mine(schedule: Schedule) -> None:
        tried.append(schedule)
        assert not _loses_deletes(schedule)

    def run(**more: Any) -> None:
        with pytest.raises(AssertionError):
            settings(_SEARCH, **more)(given(schedules())(mine))()

    run(database=database, phases=[Phase.generate, Phase.shrink])
    smallest = tried[-1]  # hypothesis ends with the one that it reports
    tried.clear()
    # A colleague who reads the same database tries nothing else first:
    run(database=ReadOnlyDatabase(database), phases=[Phase.reuse])
    assert tried[0] == smallest
    assert _loses_deletes(smallest)


@pytest.mark.slow
def test_a_failing_schedule_is_printed_as_what_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    @settings(_SEARCH, print_blob=False)
    @given(schedule=schedules())
    def mine(schedule: Schedule) -> None:
        assert not _loses_deletes(schedule)

    with pytest.raises(AssertionError) as caught:
        mine()
    told = "".join(getattr(caught.value, "__notes__", [])) + capsys.readouterr().out
    match = re.search(r"schedule=(Schedule\(.*\)),?\n", told)
    assert match is not None, told
    pasted = eval(match[1], vars(public))
    assert _loses_deletes(pasted)

    @example(schedule=pasted)
    @settings(_SEARCH, phases=[Phase.explicit])
    @given(schedule=schedules())
    def pasted_into_a_test(schedule: Schedule) -> None:
        assert not _loses_deletes(schedule)

    with pytest.raises(AssertionError):
        pasted_into_a_test()


def test_a_target_can_be_aimed_at() -> None:
    lengths: list[int] = []

    @settings(_SEARCH, max_examples=60)
    @given(schedules())
    def mine(schedule: Schedule) -> None:
        lengths.append(len(schedule))
        target(len(schedule), label="steps")

    mine()
    assert max(lengths) > min(lengths)


@pytest.mark.slow
def test_the_seed_and_the_profile_of_a_session_decide_what_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from hypothesis import settings\n"
        "settings.register_profile('mine', max_examples=7, deadline=None, database=None)\n"
    )
    (tmp_path / "test_mine.py").write_text(
        "from hypothesis import given\n"
        "from pytest_netfault.schedules import schedules\n"
        "drawn = []\n"
        "@given(schedules())\n"
        "def test_mine(schedule):\n"
        "    drawn.append(str(schedule))\n"
        "def test_show():\n"
        "    print('drawn:', *drawn, sep='\\n')\n"
    )

    def drawn(*arguments: str) -> list[str]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-s",
                "-p",
                "no:randomly",
                "-p",
                "no:cacheprovider",
                *arguments,
            ],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "CI"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("Schedule(")]

    once = drawn("--hypothesis-profile=mine", "--hypothesis-seed=1")
    assert len(once) == 7
    assert drawn("--hypothesis-profile=mine", "--hypothesis-seed=1") == once
    if _has_profile("ci"):  # what Hypothesis takes by itself in CI; since 6.113
        assert len(drawn("--hypothesis-profile=ci")) > len(once)
    assert not (tmp_path / ".hypothesis" / "examples").exists()


@pytest.mark.slow
def test_the_profiles_of_the_documentation_save_what_ci_finds_for_developers() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_profiles\n"
        "from hypothesis import settings\n"
        "night = settings.get_profile('network-nightly')\n"
        "assert night.database is test_profiles.FOLDER, night\n"
        "assert not night.derandomize\n"
        "assert settings.get_profile('network-developer').database is test_profiles.SHARED\n"
    )
    examples = Path(__file__).parents[2] / "docs" / "examples"
    subprocess.run([sys.executable, "-c", code, str(examples)], env={**os.environ, "CI": "true"}, check=True)
