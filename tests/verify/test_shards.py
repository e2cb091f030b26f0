"""Proofs in parts: nothing is lost or doubled, and the parts add up to one report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault import verify
from pytest_netfault.cli import main
from pytest_netfault.faults import Cut, Reset
from pytest_netfault.proof.parts import Part, find_parts, merge_parts, read_part, write_part
from pytest_netfault.proof.results import Kept, Lost, Nothing, Result
from pytest_netfault.proof.shards import Shard, chosen_shard
from pytest_netfault.proof.tally import Tally
from pytest_netfault.schedules import Break, Schedule, Subscribe, WaitForEvents, Write

pytestmark = pytest.mark.slow

GOOD = Tally(examples=10, faults=12, met=9, faults_that_met_traffic=9, acknowledged=30)
COUNTS = st.builds(Tally, *[st.integers(0, 50)] * 9)


def part(number: int, of: int, tally: Tally = GOOD, **more: Any) -> Part:
    return Part("sweep", Shard(number, of), more.pop("seed", 7), tally, 1.5, **more)


def result_of(*parts: Part) -> Result:
    return merge_parts((f"file{number}", one) for number, one in enumerate(parts, start=1))


def merged(*parts: Part) -> verify.Report:
    result = result_of(*parts)
    assert isinstance(result, Kept)
    return result.report


@given(st.integers(1, 40), st.integers(1, 12))
def test_each_example_belongs_to_one_part(examples: int, of: int) -> None:
    held = [n for number in range(1, of + 1) for n in range(examples) if Shard(number, of).holds(n)]
    assert sorted(held) == list(range(examples))


@given(st.lists(COUNTS, min_size=1, max_size=6))
def test_parts_count_as_much_as_the_whole(tallies: list[Tally]) -> None:
    whole = sum(tallies, Tally())
    result = result_of(*(part(number, len(tallies), one) for number, one in enumerate(tallies, start=1)))
    assert isinstance(result, Nothing) == (whole.proved_nothing() is not None)
    assert result.report == whole.report(seconds=1.5 * len(tallies), seed=7)


def test_a_part_goes_to_a_file_and_back(tmp_path: Path) -> None:
    lost = Lost(
        "the story",
        schedule=Schedule([Subscribe(), Write("a")]),
        trace={"log": []},
        broken=("reliable",),
        seed=7,
        repeated=(2, 3),
    )
    given = part(2, 3, holes=(Cut(9, "down", 2, "rst"),), sweep="connection 1: 10 B up, 5 B down", lost=lost)
    path = write_part(tmp_path / "new", given)
    assert path.name == "sweep-seed7-shard-2-of-3.json"
    again = read_part(path)
    assert again.to_json() == given.to_json()
    assert again.holes == given.holes
    assert find_parts([tmp_path]) == [path]


def test_a_missing_part_and_one_that_is_there_twice_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^of sweep with seed 7 part 2/3 is missing$"):
        merged(part(1, 3), part(3, 3))
    with pytest.raises(ValueError, match=r"^of sweep with seed 7 parts 1/3, 3/3 are missing$"):
        merged(part(2, 3))
    with pytest.raises(ValueError, match=r"^part 1/2 of sweep with seed 7 is there twice: file1 and file3$"):
        merged(part(1, 2), part(2, 2), part(1, 2))
    with pytest.raises(ValueError, match=r"^of sweep with seed 7 part 2/2 is missing$"):
        merged(part(1, 2), part(2, 2, seed=8))  # each machine with a seed of its own is no proof in parts
    with pytest.raises(ValueError, match=r"^there is no part of a proof"):
        merged()


def test_proofs_with_several_seeds_add_up() -> None:
    report = merged(part(1, 1, seed=1), part(1, 1, seed=2))
    assert report.examples == 20
    assert report.seed is None


def test_one_part_may_prove_nothing_if_all_together_do() -> None:
    assert merged(part(1, 2), part(2, 2, Tally(examples=1, inconclusive=1, acknowledged=1))).examples == 11
    nothing = result_of(*(part(number, 2, Tally(examples=1, faults=1, acknowledged=1)) for number in (1, 2)))
    assert isinstance(nothing, Nothing)
    assert "no fault met traffic in 2 examples" in nothing.reason


def test_a_loss_in_one_part_is_a_loss(tmp_path: Path, toy: Any, server: Any) -> None:
    class Deaf(toy.RightStore):  # type: ignore[misc, name-defined]
        def on_events(self, revision: int, changes: Any) -> None:
            self.next = revision + 1

    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(
            Deaf, server, shard="2/2", seed=1, settle=0.3, max_examples=2, max_seconds=5, report_dir=tmp_path
        )
    verify.no_update_lost(
        toy.RightStore, server, shard="1/2", seed=1, max_examples=4, faults=[Reset], report_dir=tmp_path
    )
    with pytest.raises(verify.UpdateLost) as again:
        verify.merge(tmp_path)
    assert str(again.value) == str(caught.value)
    assert again.value.schedule == caught.value.schedule
    assert again.value.report is not None
    assert again.value.report.examples == 3


def test_the_parts_of_a_campaign_play_each_schedule_once(toy: Any, server: Any, tmp_path: Path) -> None:
    def played(shard: str | None) -> list[Schedule]:
        told: list[Schedule] = []
        verify.no_update_lost(
            toy.RightStore,
            server,
            seed=5,
            max_examples=5,
            faults=[Reset],
            shard=shard,
            report_dir=tmp_path,
            progress=lambda progress: told.append(progress.schedule),
        )
        return told

    whole = played(None)
    assert list(tmp_path.iterdir()) == []  # only what is no whole proof leaves something behind
    first, second = played("1/2"), played("2/2")
    assert (whole[::2], whole[1::2]) == (first, second)
    assert verify.merge(tmp_path).examples == 5


def test_the_parts_of_a_sweep_add_up(toy: Any, server: Any, tmp_path: Path) -> None:
    scenario = Schedule([Subscribe(), Write("a"), WaitForEvents()])
    places: list[Schedule] = []
    for number in (1, 2, 3):
        verify.sweep(
            toy.RightStore,
            server,
            scenario,
            how=["rst"],
            stride=11,
            seed=1,
            shard=f"{number}/3",
            report_dir=tmp_path,
            progress=lambda progress: places.append(progress.schedule),
        )
    report = verify.merge(tmp_path)
    assert report.examples == len(places) == len(set(places)) > 9
    assert all(isinstance(place.steps[0], Break) for place in places)
    assert len(report.holes) == report.inconclusive
    assert report.sweep is not None


def test_the_recipe_of_the_documentation_with_two_workers(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / "shards.py"
    shutil.copy(example, tmp_path / "test_shards.py")
    shutil.copytree(example.parent / "stores", tmp_path / "stores")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--netfault-seed=7"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    files = sorted(path.name for path in (tmp_path / "netfault-reports" / "sweep").iterdir())
    assert files == [f"sweep-seed7-shard-{number}-of-4.json" for number in (1, 2, 3, 4)]
    told = subprocess.run(
        [sys.executable, "-m", "pytest_netfault", "merge", "netfault-reports/sweep"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("kept: cut at ")


# -- the command ----------------------------------------------------------------------------------------------


def test_the_command_tells_the_verdict_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_part(tmp_path, part(1, 2))
    assert main(["merge", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "netfault merge: of sweep with seed 7 part 2/2 is missing\n"
    write_part(tmp_path, part(2, 2))
    assert main(["merge", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("kept: nothing lost in 20 examples")
    nothing = Tally(examples=90, inconclusive=90, faults=1, met=1, faults_that_met_traffic=1, acknowledged=1)
    write_part(tmp_path, part(2, 2, nothing))
    assert main(["merge", str(tmp_path)]) == 3
    assert "nothing was proved: 90 of 100 examples were inconclusive" in capsys.readouterr().out
    lost = Lost("the story", schedule=Schedule([Subscribe()]), trace={}, broken=("reliable",))
    write_part(tmp_path, part(2, 2, lost=lost))
    assert main(["merge", str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("the story\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", r"x.json:1: no part of a proof: not JSON"),
        ("[]", r"x.json: no part of a proof: the document must be an object, not \[\]"),
        ('{"counted": {}}', r"x.json: no part of a proof: the document has no \"holes\""),
        (None, r"x.json: cannot be read: No such file"),
        (
            "shard",
            r"x.json: no part of a proof: shard must be a number of a number, such as '2/8', not '3/2'",
        ),
        ("counted", r"x.json: no part of a proof: counted has no \"faults_that_met_traffic\""),
    ],
)
def test_a_file_that_is_none_is_one_sentence(
    tmp_path: Path, text: str | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    document = part(1, 1).to_json()
    if text == "shard":
        text = json.dumps({**document, "shard": "3/2"})
    elif text == "counted":
        del document["counted"]["faults_that_met_traffic"]
        text = json.dumps(document)
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=told):
        verify.merge(path)
    assert main(["merge", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


SYSTEMS = [
    ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
    ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    ("TEST_SHARD_INDEX", "TEST_TOTAL_SHARDS", 0),
]


@pytest.fixture
def no_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for index, total, _ in SYSTEMS:
        monkeypatch.delenv(index, raising=False)
        monkeypatch.delenv(total, raising=False)


@pytest.mark.usefixtures("no_system")
class TestAuto:
    @pytest.mark.parametrize(("index", "total", "first"), SYSTEMS)
    def test_the_jobs_of_a_system_have_every_part_once(
        self, monkeypatch: pytest.MonkeyPatch, index: str, total: str, first: int
    ) -> None:
        parts = []
        monkeypatch.setenv(total, "3")
        for job in range(3):
            monkeypatch.setenv(index, str(first + job))
            parts.append(chosen_shard("auto"))
        assert parts == [Shard(1, 3), Shard(2, 3), Shard(3, 3)]

    def test_without_a_system_it_is_the_whole(self) -> None:
        assert chosen_shard("auto") is None
        assert chosen_shard("auto", {"CI_NODE_TOTAL": "3"}) is None

    @pytest.mark.parametrize(("number", "of"), [("3", "3"), ("-1", "3"), ("x", "3"), ("0", "0"), ("1", "")])
    def test_what_makes_no_sense_is_an_error_and_not_the_whole(self, number: str, of: str) -> None:
        environment = {"CIRCLE_NODE_INDEX": number, "CIRCLE_NODE_TOTAL": of}
        if not of:
            assert chosen_shard("auto", environment) is None
            return
        with pytest.raises(
            ValueError, match=f"shard='auto' found CIRCLE_NODE_INDEX='{number}' and CIRCLE_NODE_TOTAL"
        ):
            chosen_shard("auto", environment)

    def test_bazel_is_told_that_the_part_was_taken(self, tmp_path: Path) -> None:
        status = tmp_path / "status"
        environment = {
            "TEST_SHARD_INDEX": "0",
            "TEST_TOTAL_SHARDS": "2",
            "TEST_SHARD_STATUS_FILE": str(status),
        }
        assert chosen_shard("auto", environment) == Shard(1, 2)
        assert status.exists()

    def test_a_proof_plays_the_part_of_its_job(
        self, toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def played(shard: str) -> list[Any]:
            schedules: list[Any] = []
            verify.no_update_lost(
                toy.RightStore,
                server,
                seed=4,
                max_examples=9,
                notice=None,
                shard=shard,
                progress=lambda progress: schedules.append(progress.schedule),
            )
            return schedules

        monkeypatch.setenv("CIRCLE_NODE_INDEX", "1")
        monkeypatch.setenv("CIRCLE_NODE_TOTAL", "3")
        assert played("auto") == played("2/3")
        assert len(played("auto")) == 3
