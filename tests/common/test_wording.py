"""Numbers in messages agree with what they count, everywhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pytest_netfault

SOURCES = sorted(Path(str(pytest_netfault.__file__)).parent.rglob("*.py"))
# What is counted in messages, and could be one.
THINGS = "attempt byte case change connection cut event example fault file item key part place play step test write"
_PLURAL = re.compile(rf" (more )?({THINGS.replace(' ', '|')})s\b")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_message_puts_a_number_before_a_fixed_plural(path: Path) -> None:
    joined = [
        node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.JoinedStr)
    ]
    wrong = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in joined
        for one, two in zip(node.values, node.values[1:], strict=False)
        if isinstance(one, ast.FormattedValue) and isinstance(two, ast.Constant)
        if _PLURAL.match(str(two.value)) and not ast.unparse(one.value).isupper()  # a constant is never one
    ]
    assert not wrong, "use counted()"
