"""Fresh installations: the core alone, each extra alone, and what is said about those that are missing."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def _distributions(environment: Any) -> dict[str, str]:
    listed = environment.run(
        "python",
        "-c",
        "import importlib.metadata as m, json\n"
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))",
    )
    found: dict[str, str] = json.loads(listed.stdout)
    return found


@pytest.fixture(scope="module")
def core(fresh: Any) -> Any:
    return fresh("pytest-netfault")


def test_the_core_needs_pytest_and_trio_and_what_they_bring(
    core: Any, note: Callable[[str, str], None]
) -> None:
    installed = _distributions(core)
    expected = {"pytest-netfault", "pytest", "trio"}
    expected |= {"iniconfig", "packaging", "pluggy", "pygments"}  # of pytest
    expected |= {"attrs", "idna", "outcome", "sniffio", "sortedcontainers"}  # of trio
    if sys.version_info < (3, 11):
        expected |= {"exceptiongroup", "tomli", "typing_extensions"}
    assert set(installed) == expected
    note("installed by the core", ", ".join(f"{name} {installed[name]}" for name in sorted(installed)))
    size = sum(path.stat().st_size for path in core.path.rglob("*") if "pytest_netfault" in path.parts)
    note("pytest_netfault installed", f"{size:,} B")


def test_the_core_works_alone(core: Any, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "bare", tmp_path / "bare")
    run = core.run("python", "-m", "pytest", "-q", tmp_path / "bare", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout


def test_both_ways_to_call_the_command_are_one(core: Any) -> None:
    for arguments in (["--version"], [], ["--help"], ["demo", "--help"], ["judge", "--help"], ["nonsense"]):
        command = core.run("netfault", *arguments)
        module = core.run("python", "-m", "pytest_netfault", *arguments)
        assert (command.returncode, command.stdout) == (module.returncode, module.stdout)
        assert command.stderr == module.stderr


WITHOUT = {
    "hypothesis": "from pytest_netfault.schedules import schedules",
    "docker": "from pytest_netfault.servers.etcd.find import find_etcd\nfind_etcd('docker').start()",
    "etcd": "from pytest_netfault.servers.etcd.find import find_etcd\nfind_etcd()",
    "report": "from pytest_netfault.report.html import _environment\n_environment()",
    "tls": "from pytest_netfault import NetFault\nNetFault().forward(80, tls=True)",
}


@pytest.mark.parametrize("extra", WITHOUT)
def test_a_missing_extra_is_named_in_one_sentence(core: Any, extra: str) -> None:
    run = core.run("python", "-c", WITHOUT[extra])
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]  # what people read
    assert f"pip install 'pytest-netfault[{extra}]'" in last


WORKS = {
    "hypothesis": """
from hypothesis import given, settings
from pytest_netfault.schedules import Schedule, schedules
@settings(max_examples=5, database=None, deadline=None)
@given(schedules())
def draw(schedule):
    assert isinstance(schedule, Schedule)
draw()
""",
    "etcd": """
from pytest_netfault.servers.etcd import find_etcd
with find_etcd().start() as etcd:
    print(etcd.version, etcd.revision(), etcd.log(0))
""",
    "docker": """
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd.docker import newest_image
import docker
try:
    newest_image()
except ServerError as error:
    assert "ocker engine" in str(error) and "pip install" not in str(error), error
""",
    "tls": """
from pytest_netfault import NetFault
with NetFault() as net:
    net.forward(80, tls=True)
    assert "BEGIN CERTIFICATE" in open(net.ca.file).read()
""",
    "wrapper": """
import runtime_config
runtime_config.Key
""",
    "report": """
from pytest_netfault.report.html import _environment
assert "timeline" in str(_environment().get_template("timeline.html"))
import rich
""",
}


@pytest.mark.parametrize("extra", WORKS)
def test_an_extra_alone_works(fresh: Any, extra: str) -> None:
    environment = fresh(f"pytest-netfault[{extra}]")
    run = environment.run("python", "-W", "error", "-c", WORKS[extra])
    assert run.returncode == 0, run.stderr
    (environment.path / "test_it.py").write_text("def test_it(netfault): assert netfault.seed >= 0\n")
    run = environment.run("python", "-m", "pytest", "-q", "-W", "error", "test_it.py")
    assert run.returncode == 0, run.stdout
