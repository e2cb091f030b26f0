"""The suites among the examples: each gets its link in a few lines, and passes through it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MOST_LINES = 5

# A plugin of the session: it says after each test how many connections the links have carried so far.
WATCHER = """
from pytest_netfault import NetFault

links = []
forward = NetFault.forward

def noting(self, *arguments, **options):
    links.append(forward(self, *arguments, **options))
    return links[-1]

NetFault.forward = noting

def pytest_runtest_logfinish(nodeid):
    opened = sum(event.kind == "accepted" for link in links for event in link.events)
    print(f"\\ncarried {opened} after {nodeid}", flush=True)
"""


def lines_of(function: ast.FunctionDef) -> int:
    """How many lines it has below its head."""
    assert function.end_lineno is not None
    return function.end_lineno - function.body[0].lineno + 1


@pytest.fixture
def real_servers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLES)
    return __import__("real_servers")


def test_a_link_takes_five_lines_or_fewer() -> None:
    found = {}
    for path in sorted((EXAMPLES / "suites").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and ".forward(" in ast.unparse(node):
                found[path.name if path.name != "conftest.py" else path.parent.name] = lines_of(node)
    assert set(found) == {
        *("fixture", "environment", "compose", "django_project", "test_sqlalchemy.py", "test_service.py")
    }
    assert max(found.values()) <= MOST_LINES


@pytest.mark.slow
def test_each_suite_passes_through_its_link(tmp_path: Path, real_servers: ModuleType) -> None:
    for package in ("django", "sqlalchemy", "psycopg", "redis"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    here = tmp_path / "here"
    shutil.copytree(EXAMPLES, here, ignore=shutil.ignore_patterns("__pycache__"))
    (here / "watcher.py").write_text(WATCHER, encoding="utf-8")
    with real_servers.redis() as redis, real_servers.postgres() as postgres:
        where = {
            "REDIS_URL": f"redis://{redis.address}/0",
            "CACHE_ADDRESS": redis.address,
            "DATABASE_ADDRESS": postgres.address,
            "PYTHONPATH": str(here),
        }
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-rs", "-W", "error", "-p", "no:asyncio"),
                *("-p", "no:randomly", "-p", "no:cacheprovider", "-p", "watcher", "suites"),
            ],
            cwd=here,
            env=os.environ | where,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    skipped = re.findall(r"^SKIPPED \[1\] suites/(\w+)", ran.stdout, re.MULTILINE)
    assert skipped in ([], ["compose"]), ran.stdout
    carried = {
        name: int(count)
        for count, name in re.findall(r"^carried (\d+) after suites/(\w+)", ran.stdout, re.MULTILINE)
    }
    assert set(carried) == {
        "compose",
        "django_project",
        "environment",
        "fixture",
        "test_service",
        "test_sqlalchemy",
    }
    counts = [count for name, count in carried.items() if name not in skipped]
    assert [0, *counts] == sorted({0, *counts}), "each has opened connections of its own"
