"""The public face: what it promises, where it lives, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_netfault

PROMISED = {
    # links
    "ActiveFault", "ConnectionInfo", "Link", "LinkEvent", "LinkWarning", "NetFault", "NetFaultClosed",
    # faults
    "Blackhole", "Corrupt", "Cut", "Delay", "Fault", "Forget", "Lose", "Refuse", "Reset", "Sever", "Slice",
    "StallAccept", "Throttle", "UnsupportedFault",
    # subjects
    "Delivery", "Event", "OpenStore", "Resync", "Store", "WriteRejected",
    # schedules
    "Break", "Compact", "Connected", "Delete", "Heal", "Passed", "Pause", "Restart", "Resume", "Schedule", "Seen",
    "Subscribe", "Write", "WriteMany",
    # the proof
    "ProvedNothing", "Report", "UpdateLost", "verify",
}  # fmt: skip


def test_the_face_shows_exactly_what_is_promised() -> None:
    assert set(pytest_netfault.__all__) == PROMISED
    assert dir(pytest_netfault) == sorted(PROMISED)


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(pytest_netfault, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sever'"):
        _ = pytest_netfault.sever


def test_type_checkers_see_the_same_names() -> None:
    text = Path(str(pytest_netfault.__file__)).read_text(encoding="utf-8")
    for name in PROMISED:
        assert f"import {name} as {name}\n" in text, f"{name} is not imported under TYPE_CHECKING"


def test_a_star_import_works() -> None:
    names: dict[str, object] = {}
    exec("from pytest_netfault import *", names)
    assert set(names) >= PROMISED


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest_netfault, pytest_netfault.plugin\n"
        "heavy = {'trio', 'hypothesis', 'grpc', 'docker', 'asyncio', 'ssl'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    # Only what this import adds counts, so pytest is there first and must be light itself.
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
