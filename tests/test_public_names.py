"""The public face: what it promises, where it lives, and that it costs nothing until it is used."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_netfault

PROMISED = {
    # links
    "ActiveFault",
    "AsyncStore", "ConnectionInfo", "Link", "LinkEvent", "LinkWarning", "NetFault", "NetFaultClosed",
    "TLS",
    # faults
    "Blackhole", "Corrupt", "Cut", "Delay", "Fault", "Forget", "Frame", "Lose", "Refuse", "Reset", "Sever", "Slice",
    "StallAccept", "Throttle", "UnsupportedFault",
    # clients under test
    "Delivery", "Event", "OpenStore", "ProcessStore", "Resync", "Store", "WriteRejected",
    # schedules
    "Break", "Compact", "Delete", "Heal", "Pause", "Restart", "Resume", "Schedule", "Subscribe", "WaitForBytes",
    "WaitForConnection", "WaitForEvents", "Write", "WriteMany",
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


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest_netfault, pytest_netfault.plugin\n"
        "heavy = {'trio', 'hypothesis', 'grpc', 'docker', 'asyncio', 'ssl'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    # Only what this import adds counts, so pytest is there first and must be light itself.
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


EXCEPTIONS = [
    name
    for name in sorted(PROMISED)
    if isinstance(getattr(pytest_netfault, name), type)
    and issubclass(getattr(pytest_netfault, name), Exception)
]


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_is_called_what_it_is_imported_as(name: str) -> None:
    kind = getattr(pytest_netfault, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"pytest_netfault.{name}"
    assert pickle.loads(pickle.dumps(kind)) is kind


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_goes_through_a_pickle(name: str) -> None:
    report = pytest_netfault.Report(1, 0, 1, 0.5, 2, seed=7)
    schedule = pytest_netfault.Schedule([pytest_netfault.Subscribe()])
    carried: dict[str, object] = {
        "UpdateLost": {"schedule": schedule, "trace": {"a": 1}, "broken": ("reliable",), "report": report},
        "ProvedNothing": {"report": report},
    }.get(name, {})
    error = getattr(pytest_netfault, name)("words", **carried)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), "words", vars(error))
