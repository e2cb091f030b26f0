"""What is checked before a release: the distributions as they are built, in environments that know nothing of us.

``tox -e release`` runs these. They build, and install through the configured package index, so that they take their
time and are no part of the other tests: their files are named ``check_*.py``, which only that environment collects.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SIZES: list[tuple[str, str]] = []


class Built:
    """The four files of a release.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, project: str, kind: str) -> Path:
        """``project`` as in file names, ``kind`` ``"whl"`` or ``"tar.gz"``."""
        (found,) = self.folder.glob(f"{project}-*.{kind}")
        return found

    def names(self, project: str, kind: str) -> set[str]:
        """What is in it; the one folder that an sdist consists of is left out."""
        path = self.file(project, kind)
        if kind == "whl":
            return set(zipfile.ZipFile(path).namelist())
        with tarfile.open(path) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}


class Environment:
    """A virtual environment without anything of this one."""

    def __init__(self, path: Path, links: Path, *, pip: bool) -> None:
        self.path = path
        seed = [] if pip else ["--without-pip"]
        subprocess.run([sys.executable, "-m", "venv", *seed, path], check=True)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV", "TOX", "VIRTUAL_ENV", "PYTHONPATH", "NETFAULT_"))
        }
        # No program of this machine: what is found comes from what was installed.
        self.environment["PATH"] = f"{path / 'bin'}:/usr/bin:/bin" if pip else str(path / "bin")
        self.environment["PIP_FIND_LINKS"] = f"{links} {os.environ.get('PIP_FIND_LINKS', '')}".strip()

    def install(self, *what: str) -> None:
        """With the pip of this environment, which is quicker than to give each one its own."""
        python = str(self.path / "bin" / "python")
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile", *what],
            check=True,
            env={**os.environ, "PIP_FIND_LINKS": self.environment["PIP_FIND_LINKS"]},
        )

    def run(self, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of it, named by its name alone."""
        return subprocess.run(
            [self.path / "bin" / command[0], *command[1:]],
            env=self.environment,
            cwd=cwd or self.path,
            capture_output=True,
            text=True,
            timeout=900,
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both distributions, the wheels made from the sdists, as whoever installs an sdist makes them."""
    folder = tmp_path_factory.mktemp("dist")
    for project in (ROOT, ROOT / "wrapper"):
        subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, project],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    SIZES.extend((path.name, f"{path.stat().st_size:,} B") for path in sorted(folder.iterdir()))
    return Built(folder)


@pytest.fixture(scope="session")
def fresh(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Make an environment, and install into it."""

    def make(*what: str, pip: bool = False) -> Environment:
        environment = Environment(tmp_path_factory.mktemp("venv"), built.folder, pip=pip)
        if what:
            environment.install(*what)
        return environment

    return make


@pytest.fixture(scope="session")
def note() -> Callable[[str, str], None]:
    """Note a figure that is printed at the end."""

    def add(name: str, value: str) -> None:
        SIZES.append((name, value))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SIZES:
        terminalreporter.section("what a release is made of")
        for name, value in SIZES:
            terminalreporter.write_line(f"{name:45} {value}")
