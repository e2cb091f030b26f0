"""The gate of a repository without pytest, as it is run there: see prove/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_it_fails_with_1_and_leaves_the_loss(tmp_path):
    shutil.copytree(Path(__file__).parent / "prove", tmp_path / "here")
    # `netfault` is that of this environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["sh", tmp_path / "here" / "run.sh", "--settle", "0.5", "--max-seconds", "60", "--seed", "1"]
    done = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "An update was lost" in done.stdout
    (folder,) = (tmp_path / "here" / "netfault-reports").iterdir()
    assert list(folder.glob("update-lost-*.json"))
    assert (folder / "failure.txt").is_file()
