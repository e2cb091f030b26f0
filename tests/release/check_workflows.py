"""The workflows: each step that needs no host is run here as it is written, and the others hold what they must."""

from __future__ import annotations

import configparser
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = {path.stem: path for path in (ROOT / ".github" / "workflows").glob("*.yml")}
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")


def _jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, path in sorted(WORKFLOWS.items()):
        for job, content in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            yield f"{name}/{job}", content


JOBS = dict(_jobs())


def _commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_unless_a_job_says_why(name: str) -> None:
    workflow = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("job", JOBS)
def test_each_action_is_pinned_and_no_job_runs_without_end(job: str) -> None:
    assert JOBS[job]["timeout-minutes"] <= 60
    for step in JOBS[job]["steps"]:
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, step


@pytest.mark.parametrize("job", JOBS)
def test_what_a_job_runs_by_tox_is_there(job: str) -> None:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    known = {section.removeprefix("testenv:") for section in config.sections()} | {"tests"}
    for command in _commands(job):
        for names in re.findall(r"^tox -e ([\w,.-]+)", command, re.MULTILINE):
            assert set(names.split(",")) <= known, command


def test_the_steps_that_build_a_release_run_as_they_are_written(fresh: Any, tmp_path: Path) -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", ROOT.as_uri(), clone], check=True)
    environment = fresh(pip=True)
    for command in _commands("release/build"):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=clone,
            env={**environment.environment, "GITHUB_REF_NAME": f"v{version}", "CI": "true"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    kept = [
        step["with"]["path"]
        for step in JOBS["release/build"]["steps"]
        if "upload-artifact" in step.get("uses", "")
    ]
    assert kept == ["dist"]
    distributions = JOBS["release/publish"]["strategy"]["matrix"]["distribution"]
    for distribution in distributions:
        files = sorted(path.suffix for path in (clone / "dist" / distribution).iterdir())
        assert files == [".gz", ".whl"], distribution


def test_a_tag_of_another_version_stops_the_release(tmp_path: Path) -> None:
    done = subprocess.run(
        ["python3", ROOT / ".github" / "check_tag.py", "v9.9.9"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "the tag is v9.9.9, and pyproject.toml has version" in done.stdout
