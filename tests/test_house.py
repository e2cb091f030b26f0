"""The map in CONTRIBUTING is the house: the rooms that it lists are the folders, in the order of the arrows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pytest_netfault

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = pytest.importorskip("tomli", reason="reading pyproject.toml needs Python 3.11, or tomli")

ROOT = Path(__file__).parents[1]
PACKAGE = Path(str(pytest_netfault.__file__)).parent
MAP = (
    (ROOT / "CONTRIBUTING.md")
    .read_text(encoding="utf-8")
    .split("    pytest_netfault/\n")[1]
    .split("    wrapper/")[0]
)
ROOMS = re.findall(r"^      ([\w./]+)  ", MAP, flags=re.MULTILINE)


def test_the_map_lists_every_room_and_nothing_else() -> None:
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.name.startswith("__")
    }
    assert set(ROOMS) == there
    assert len(ROOMS) == len(set(ROOMS))


def test_the_map_stands_in_the_order_of_the_arrows() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    [arrows] = [one for one in contracts if one["name"] == "arrows only point down"]
    assert arrows["exhaustive"]
    layers = [{name.strip() for name in layer.split("|")} for layer in arrows["layers"]]
    rooms = [room.removesuffix("/").removesuffix(".py") for room in ROOMS]
    floors = [next(number for number, layer in enumerate(layers) if room in layer) for room in rooms]
    assert floors == sorted(floors)
    assert set(rooms) == set().union(*layers)
