"""The first ten minutes of somebody who has heard of this tool, rehearsed: an empty environment, and the install line.

The index is a folder: our wheels and those of everything that they need, so that what the line installs is what a
release would give, and nothing else can be reached.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def index(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of everything; only making it needs an index."""
    folder = tmp_path_factory.mktemp("index")
    everything = [f"pytest-netfault[all] @ {built.file('pytest_netfault', 'whl').as_uri()}"]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--wheel-dir",
            folder,
            "--find-links",
            built.folder,
            *everything,
        ],
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def newcomer(fresh: Any) -> Any:
    """Their environment, in which nothing is installed but pip."""
    return fresh(pip=True)


def test_one_line_installs_it_and_finds_the_first_bug(
    newcomer: Any, index: Path, note: Callable[[str, str], None], tmp_path: Path
) -> None:
    (line,) = re.findall(
        r'^(python -m pip install "pytest-netfault.*&& netfault demo)$',
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    began = time.monotonic()
    program = subprocess.Popen(
        ["bash", "-eu", "-c", line],
        cwd=tmp_path,
        env={
            **{name: value for name, value in newcomer.environment.items() if not name.startswith("PIP_")},
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": os.fspath(index),
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert program.stdout is not None
    with program.stdout:
        arrived = [(time.monotonic() - began, text.rstrip()) for text in program.stdout]
    shown = "\n".join(text for _, text in arrived)
    assert program.wait(timeout=600) == 0, shown
    assert "Successfully installed" in shown
    assert re.search(r"Kept: nothing lost in \d+ examples", shown)

    def when(words: str) -> str:
        return f"{next(second for second, text in arrived if words in text):.1f} s"

    note("from the install line to everything installed", when("Successfully installed"))
    note("... to the first bug found", when("An update was lost"))
    note("... to the wrapper proved, and the end", when("Kept: nothing lost"))


def test_then_they_take_the_examples_and_run_the_first(newcomer: Any, tmp_path: Path) -> None:
    written = newcomer.run("netfault", "examples", "there", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    ran = newcomer.run("pytest", "first_bug.py", cwd=tmp_path / "there")
    assert ran.returncode == 1
    assert "_queue.Empty" in ran.stdout or "queue.Empty" in ran.stdout
    first = tmp_path / "there" / "first_bug.py"
    first.write_text(first.read_text().replace("naive_etcd3", "runtime_config_store"))
    ran = newcomer.run("pytest", "-W", "error", "first_bug.py", cwd=tmp_path / "there")
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout
