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
    return _listed(PACKAGES[project], PROJECTS[project])


def _listed(folder: str, root: Path) -> set[str]:
    """The files of a folder that are, or can be, in a commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    there = {name for name in listed if (root / name).exists()}
    assert there, f"git knows no file of {root / folder}"
    return there


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
            f"pytest_netfault/_examples/{name.removeprefix('docs/examples/')}"
            for name in _listed("docs/examples", ROOT)
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
    classifiers = metadata.get_all("Classifier", [])
    assert {"Typing :: Typed", "Programming Language :: Python :: Implementation :: CPython"} <= set(
        classifiers
    )
    links = dict(one.split(", ") for one in metadata.get_all("Project-URL", []))
    assert {"Homepage", "Documentation", "Changelog", "Source", "Issues", "Contact", "Security"} <= set(links)
    assert all(link.startswith("https://") for link in links.values())
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
            "wrapper",
        }
        assert "Framework :: Pytest" in metadata.get_all("Classifier", [])
        everything = {re.split(r"[<>=!~; ]", one)[0] for one in required if "extra == 'all'" in one}
        assert "etcd-runtime-config" in everything or any("wrapper" in one for one in everything)
    assert not any("<" in one for one in required), "an upper bound keeps others from installing"


def test_both_distributions_have_one_version_and_the_changelog_a_section_for_it() -> None:
    (version,) = {_version(project) for project in PROJECTS}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changelog, re.MULTILINE)
    assert released[0] == ("Unreleased", "")
    assert released[1][0] == version
    assert all(date for _, date in released[1:])


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
