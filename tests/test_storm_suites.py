"""The suites of other people that a storm is measured with: what is added to each, and the page of what was found."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "storm-suites.md"
MOST_LINES = 7


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "storm_table", ROOT / "tests" / "benchmarks" / "storm_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "storm_table", module)  # its dataclass looks it up
    spec.loader.exec_module(module)
    return module


def test_what_is_added_to_a_suite_is_a_plugin_of_a_few_lines(table: ModuleType) -> None:
    for suite in table.SUITES:
        assert len(suite.link.splitlines()) <= MOST_LINES, suite.package
        names = [node.name for node in ast.parse(suite.link).body if isinstance(node, ast.FunctionDef)]
        assert names == ["pytest_configure"], suite.package


def test_the_page_has_each_suite_with_its_version_and_its_lines(table: ModuleType) -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and line.count("|") > 9
    ]
    lines = {row[0]: row[2] for row in rows[1:]}
    assert lines == {
        f"{suite.package} {suite.version}": str(len(suite.link.splitlines())) for suite in table.SUITES
    }
