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


SLOW_FILE = re.compile(r"^pytestmark = .*\bslow\b", flags=re.MULTILINE)
SLOW_TEST = re.compile(r"^@pytest\.mark\.slow\n(?:^[@ )].*\n)*^(?:async )?def test_", flags=re.MULTILINE)
ANY_TEST = re.compile(r"^(?:async )?def test_", flags=re.MULTILINE)


@pytest.mark.parametrize("room", [room for room in ROOMS if room.endswith("/")])
def test_the_quick_run_covers_every_room(room: str) -> None:
    """What `tox -e quick` leaves out is marked `slow`; something must be left of each folder."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / room).rglob("test_*.py")]
    quick = [
        text
        for text in texts
        if not SLOW_FILE.search(text) and len(ANY_TEST.findall(text)) > len(SLOW_TEST.findall(text))
    ]
    assert quick, f"every test of tests/{room} is marked slow"
