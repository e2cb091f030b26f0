"""What a type checker sees: a key's type comes out of every method."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SNIPPET = """
from dataclasses import dataclass
from enum import Enum
from runtime_config import ABSENT, Codec, ConfigStore, Key, Section, Updated
from runtime_config.aio import AsyncConfigStore

@dataclass(frozen=True)
class Limits:
    rate: float

class Tier(Enum):
    FREE = 1

class Hex:
    def encode(self, value: int, /) -> bytes: return b""
    def decode(self, raw: bytes, /) -> int: return 0

def use(store: ConfigStore) -> None:
    limit = Key("a.b", int)
    reveal_type(limit)  # Key[int]
    reveal_type(store.get(limit).value)  # int
    reveal_type(store.get(Key("a.c", bool, default=True)).value)  # bool
    reveal_type(store.get(Key("a.d", Limits)).value)  # Limits
    reveal_type(store.get(Key("a.e", Tier)).value)  # Tier
    reveal_type(store.get(Key("a.f", Hex())).value)  # int
    reveal_type(store.set(limit, 1))  # Versioned[int]
    reveal_type(store.compare_and_set(limit, ABSENT, 1).value)  # int
    reveal_type(store.update(limit, lambda seen: seen + 1).value)  # int
    reveal_type(store.live(limit).value)  # int
    reveal_type(store.get_all(Section("a")).values[limit])  # int
    reveal_type(store.delete(limit))  # bool
    with store.transaction() as txn:
        txn.set(limit, 5)
        txn.require(limit, store.get(limit))
    with store.subscribe(limit) as updates:
        for item in updates:
            reveal_type(item.revision)  # int
    store.set(limit, "five")  # error
    store.update(limit, lambda seen: "x")  # error
    store.get("a.b")  # error

async def use_aio(store: AsyncConfigStore) -> None:
    limit = Key("a.b", int)
    reveal_type((await store.get(limit)).value)  # int
    reveal_type(await store.set(limit, 1))  # Versioned[int]
    reveal_type((await store.update(limit, lambda seen: seen + 1)).value)  # int
    reveal_type((await store.live(limit)).value)  # int
    async with store.transaction() as txn:
        txn.set(limit, 5)
    async with store.subscribe(limit) as updates:
        async for item in updates:
            reveal_type(item.revision)  # int
    async with AsyncConfigStore("h:1") as opened:
        reveal_type(await opened.delete(limit))  # bool
    await store.set(limit, "five")  # error
    store.get(limit).value  # error
"""


# What a checker says: by line, "error: ..." or "int" for a revealed type.
Said = dict[int, list[str]]


def mypy(file: Path) -> Said:
    pytest.importorskip("mypy", reason="mypy is not installed: pip install mypy")
    options = ["--strict", "--config-file=", f"--cache-dir={file.parent}/cache"]
    command = [sys.executable, "-m", "mypy", *options, str(file)]
    out = subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parent)
    said: Said = {}
    for number, text in re.findall(rf"^(?:\S*/)?{file.name}:(\d+): (.*)$", out.stdout, re.MULTILINE):
        shown = text.partition("Revealed type is ")[2].strip('"')
        said.setdefault(int(number), []).append(shown or text)
    assert said, out.stdout + out.stderr
    return said


def pyright(file: Path) -> Said:
    program = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if program is None:
        pytest.skip("pyright is not installed: pip install pyright")
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    # The package on PyPI fetches the program itself when it is first called.
    try:
        subprocess.run([program, "--version"], capture_output=True, env=environment, check=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("pyright cannot run here: it needs node, and npm that reaches a registry")
    command = [program, "--outputjson", "--pythonpath", sys.executable, str(file)]
    out = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    said: Said = {}
    for one in json.loads(out.stdout[out.stdout.index("{") :])["generalDiagnostics"]:
        shown = re.match(r'Type of ".*" is "(.*)"$', one["message"])
        text = shown.group(1) if shown else f"{one['severity']}: {one['message']}"
        said.setdefault(one["range"]["start"]["line"] + 1, []).append(text)
    assert said, out.stdout + out.stderr
    return said


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_the_types_come_out(checker: Callable[[Path], Said], tmp_path: Path) -> None:
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    said = checker(file)
    for number, line in enumerate(SNIPPET.splitlines(), 1):
        here = said.get(number, [])
        if "reveal_type" in line:
            shown = [re.sub(r"[\w.]+\.(\w+)", r"\1", text) for text in here]
            assert shown == [line.rpartition("# ")[2]], f"line {number}: {here}"
        elif line.endswith("# error"):
            assert any("error" in text for text in here), f"line {number} should be refused: {said}"
        else:
            assert not any("error" in text for text in here), here
