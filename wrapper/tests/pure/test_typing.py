"""What a type checker sees: a key's type comes out of every method."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPET = """
from dataclasses import dataclass
from enum import Enum
from runtime_config import ABSENT, Codec, ConfigStore, Key, Section, Updated

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
"""


def test_the_types_come_out(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed: pip install mypy")
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={tmp_path}/cache",
        str(file),
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    lines = SNIPPET.splitlines()
    for number, line in enumerate(lines, 1):
        said = [
            text.split(": ", 1)[1]
            for text in out.stdout.splitlines()
            if text.startswith((f"{file.name}:{number}:", f"{file}:{number}:"))
        ]
        if "reveal_type" in line:
            wanted = line.rpartition("# ")[2]
            assert said, out.stdout + out.stderr
            shown = re.sub(r"[\w.]+\.(\w+)", r"\1", said[0].partition("Revealed type is ")[2]).strip('"')
            assert shown == wanted, f"line {number}: {said}"
        elif line.endswith("# error"):
            assert any("error" in text for text in said), f"line {number} should be refused: {out.stdout}"
        else:
            assert not any("error" in text for text in said), said
