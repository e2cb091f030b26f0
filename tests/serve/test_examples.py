"""Tests in Go and in Node that break their own client through ``netfault serve``, as those languages run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Serving

pytest.importorskip("hypercorn", reason="the extra 'serve' is not installed")

HERE = Path(__file__).parents[2] / "docs" / "examples" / "serve"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Serving() as serving:
        yield serving.url


def run(language: str, command: list[str], url: str) -> str:
    ended = subprocess.run(
        command,
        cwd=HERE / language,
        env={**os.environ, "NETFAULT_URL": url, "NETFAULT_STEP": "7"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on this machine")
def test_go(url: str) -> None:
    said = run("go", ["go", "test", "-count=1", "-v", "./..."], url)
    assert said.count("--- PASS") == 3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node on this machine")
def test_node(url: str) -> None:
    said = run("node", ["node", "--test"], url)
    assert re.search(r"^# pass 3$", said, re.MULTILINE)
