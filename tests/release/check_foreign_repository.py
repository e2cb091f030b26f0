"""Another repository, which knows nothing of this one, takes the wheels and makes them its gate by our recipes.

The lines of the recipes are run as they stand, in the shell and in the order in which the CI services would run them,
with an index that has the wheels built here besides all else.
"""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shop"
version = "1"
dependencies = ["etcd-runtime-config"]

[tool.hatch.build.targets.wheel]
packages = ["shop"]

[tool.pytest.ini_options]
pythonpath = ["tests"]
"""

TESTS = '''
"""The shop survives what its network does."""

import shop
from shop_store import open_store

from pytest_netfault import Break, Schedule, WaitForEvents, Sever, Subscribe, Write, verify


def test_the_shop_has_a_name():
    assert shop.NAME == "shop"


def test_an_update_during_an_outage_arrives(etcd_server):
    schedule = Schedule([Subscribe(), Write("limit"), WaitForEvents(), Break(Sever()), Write("limit")])
    verify.replay(open_store, etcd_server, schedule, settle=2.0)


def test_a_refused_shop_says_so(netfault, etcd_server):
    link = netfault.forward(etcd_server.address)
    with link.refuse():
        assert shop.reachable(link.host, link.port) is False
    assert shop.reachable(link.host, link.port) is True
'''

SHOP = '''
"""A shop."""

import socket

NAME = "shop"


def reachable(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
'''


def _steps(recipe: str) -> list[str]:
    parsed = yaml.safe_load((EXAMPLES / "ci" / recipe).read_text(encoding="utf-8"))
    if recipe == "github.yml":
        # YAML 1.1 reads the key `on` as true, as GitHub knows.
        assert {"push", "schedule"} <= set(parsed[True])
        return [step["run"] for job in parsed["jobs"].values() for step in job["steps"] if "run" in step]
    return [line for job in parsed.values() for line in job["script"]]


class Foreign:
    """The other repository, with an environment of its own."""

    def __init__(self, folder: Path, environment: Any) -> None:
        self.folder = folder
        self.environment = environment
        for name, text in (
            ("pyproject.toml", PROJECT),
            ("shop/__init__.py", SHOP),
            ("tests/test_resilience.py", TESTS),
        ):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    def store(self, name: str) -> None:
        """Which client the shop uses: one of our examples."""
        text = (EXAMPLES / "stores" / f"{name}.py").read_text(encoding="utf-8")
        (self.folder / "tests" / "shop_store.py").write_text(text)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eu", "-c", line],
            cwd=self.folder,
            env={
                **self.environment.environment,
                "CI": "true",
                "GITHUB_STEP_SUMMARY": str(self.folder / "step.md"),
            },
            capture_output=True,
            text=True,
            timeout=900,
        )


@pytest.mark.parametrize("recipe", ["github.yml", "gitlab.yml"])
def test_a_foreign_repository_gates_on_it(fresh: Any, tmp_path: Path, recipe: str) -> None:
    foreign = Foreign(tmp_path, fresh(pip=True))
    lines = _steps(recipe)
    assert len(lines) >= 2
    foreign.store("runtime_config_store")
    for line in lines:
        run = foreign.run(line)
        assert run.returncode == 0, f"{line}\n{run.stdout}{run.stderr}"
    assert "3 passed" in run.stdout
    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    told = {
        str(entry.get("name")): entry.get("value")
        for case in cases.values()
        for entry in case.iter("property")
    }
    assert told["netfault.verdict"] == "kept"
    assert not [path for path in (tmp_path / "netfault-reports").glob("*") if path.is_dir()]

    foreign.store("naive_etcd3")
    run = foreign.run(lines[-1])
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 2 passed" in run.stdout
    assert "UpdateLost" in run.stdout
    (folder,) = (path for path in (tmp_path / "netfault-reports").iterdir() if path.is_dir())
    kinds = {path.suffix for path in folder.iterdir()}
    assert {".json", ".py", ".html", ".txt"} <= kinds
    summary = tmp_path / ("step.md" if recipe == "github.yml" else "netfault-reports/summary.md")
    assert "1 failed" in summary.read_text()
    assert os.fspath(folder.relative_to(tmp_path)) in summary.read_text()
