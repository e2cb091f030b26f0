"""The README's tutorial and the example run as they are shown."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from runtime_config import ConfigStore, Key, errors

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[2]


def test_the_tutorial_runs_and_says_what_it_says(etcd_server: Any, root: str) -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    tutorial = "\n".join(block for block in blocks if "10.0.0.1" not in block)
    tutorial = tutorial.replace("127.0.0.1:2379", etcd_server.address).replace("/config/prod", root)
    names: dict[str, Any] = {}
    checked = 0
    for line_block in _statements(tutorial):
        shown = re.search(r"# (\d+)\b", line_block)
        if shown and re.match(r"[\w.]+(\(\w+\)|\[\w+\])?(\.\w+)?\s+#", line_block.strip()):
            assert str(eval(line_block.split("#")[0].strip(), names)) == shown.group(1), line_block
            checked += 1
        else:
            exec(line_block, names)
    assert checked >= 2


def _statements(code: str) -> list[str]:
    """Top-level statements with what is indented below them."""
    out: list[str] = []
    for line in code.splitlines():
        if line.startswith((" ", "\t")) and out:
            out[-1] += "\n" + line
        elif line.strip():
            out.append(line)
    return out


def test_every_error_is_explained() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    for name, value in vars(errors).items():
        if (
            isinstance(value, type)
            and issubclass(value, errors.ConfigError)
            and value is not errors.ConfigError
        ):
            assert f"`{name}`" in text, name


def test_the_example_service_follows(etcd_server: Any) -> None:
    key = Key("billing.limit", int, default=100)
    with ConfigStore(etcd_server.address, root="/config/demo", timeout=60) as store:
        store.delete(key)
        command = [sys.executable, "-u", str(HERE / "examples" / "billing_service.py"), etcd_server.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            timer = threading.Timer(60, service.kill)
            timer.start()
            try:
                assert service.stdout is not None
                lines: list[str] = []
                for line in service.stdout:
                    lines.append(line.strip())
                    if line.startswith("ready"):
                        store.set(key, 7)
                    if "is now 7" in line:
                        store.delete(key)
                    if "is now its default" in line:
                        break
            finally:
                timer.cancel()
                service.kill()
    assert "started with limit 100" in "\n".join(lines)
    assert lines[-1] == "billing.limit is now its default"
