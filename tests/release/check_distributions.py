"""The files of a release: complete, clean, and with one version."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PROJECTS = {"pytest_netfault": ROOT, "etcd_runtime_config": ROOT / "wrapper"}
PACKAGES = {"pytest_netfault": "pytest_netfault", "etcd_runtime_config": "runtime_config"}


def _version(project: str) -> str:
    (found,) = re.findall(
        r'^version = "(.+)"$', (PROJECTS[project] / "pyproject.toml").read_text(), re.MULTILINE
    )
    return str(found)


def _sources(project: str) -> set[str]:
    package = PROJECTS[project] / PACKAGES[project]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", PACKAGES[project]],
        cwd=PROJECTS[project],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert listed, f"git knows no file of {package}"
    return set(listed)


def test_the_index_will_take_them(built: Any) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *sorted(built.folder.iterdir())],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("PASSED") == 4


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_holds_the_package_and_nothing_else(built: Any, project: str) -> None:
    names = built.names(project, "whl")
    info = f"{project}-{_version(project)}.dist-info"
    expected = _sources(project) | {
        f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")
    }
    if project == "pytest_netfault":
        expected.add(f"{info}/entry_points.txt")
        expected |= {
            f"pytest_netfault/_examples/{path.name}"
            for path in (ROOT / "docs/examples/stores").iterdir()
            if path.suffix in (".py", ".md")
        }
    assert names == expected
    assert f"{PACKAGES[project]}/py.typed" in names


@pytest.mark.parametrize("project", PROJECTS)
def test_an_sdist_holds_the_sources_and_no_leftovers(built: Any, project: str) -> None:
    names = built.names(project, "tar.gz")
    assert _sources(project) <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= names
    leftovers = [
        name
        for name in names
        if re.search(
            r"(^|/)(\.git|\.tox|\.venv|__pycache__|\.[a-z]+_cache|_build|\.hypothesis)(/|$)|\.pyc$", name
        )
    ]
    assert leftovers == []
    if project == "pytest_netfault":
        assert {"CHANGELOG.md", "SECURITY.md", "docs/index.md", "tests/conftest.py"} <= names
        assert not any(name.startswith("wrapper/") for name in names)


@pytest.mark.parametrize("project", PROJECTS)
def test_the_metadata_say_what_an_installer_needs(built: Any, project: str) -> None:
    with zipfile.ZipFile(built.file(project, "whl")) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(wheel.read(name).decode())
    assert metadata["Version"] == _version(project)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    required = metadata.get_all("Requires-Dist", [])
    if project == "pytest_netfault":
        core = sorted(re.split(r"[<>=!~;\[ ]", one)[0] for one in required if "extra ==" not in one)
        assert core == ["pytest", "trio"]
        assert set(metadata.get_all("Provides-Extra", [])) == {
            "all",
            "docker",
            "etcd",
            "hypothesis",
            "report",
            "serve",
            "tls",
        }
        assert "Framework :: Pytest" in metadata.get_all("Classifier", [])
    assert not any("<" in one for one in required), "an upper bound keeps others from installing"


@pytest.mark.parametrize("project", PROJECTS)
def test_the_version_stands_in_one_place(project: str) -> None:
    version = re.escape(_version(project))
    package = PROJECTS[project] / PACKAGES[project]
    said = [
        path
        for path in package.rglob("*.py")
        if re.search(rf"(?<![\w.]){version}(?![\w.])", path.read_text())
    ]
    assert said == []
