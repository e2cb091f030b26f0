"""The public face: what it promises, where it lives, and that it costs nothing until it is used."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_netfault
from pytest_netfault.plugin import shared_etcd
from pytest_netfault.servers.etcd.cluster import EtcdCluster as OwnCluster
from pytest_netfault.servers.etcd.server import EtcdServer as OwnServer

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
    # the types of fixtures
    "EtcdCluster", "EtcdServer", "NetFaultFactory",
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


def test_the_types_of_fixtures_are_those_of_what_they_give(
    netfault: pytest_netfault.NetFault, netfault_factory: pytest_netfault.NetFaultFactory
) -> None:
    assert type(netfault) is pytest_netfault.NetFault
    assert type(netfault_factory) is pytest_netfault.NetFaultFactory
    # What the fixtures of etcd give is made of these; no server is started for this.
    assert pytest_netfault.EtcdServer is shared_etcd.SharedEtcd
    assert pytest_netfault.EtcdCluster is shared_etcd.SharedCluster


@pytest.mark.parametrize(
    ("shared", "own"), [(shared_etcd.EtcdServer, OwnServer), (shared_etcd.EtcdCluster, OwnCluster)]
)
def test_what_type_checkers_see_of_a_shared_etcd_is_there(shared: type, own: type) -> None:
    (kind,) = (
        node
        for node in ast.walk(ast.parse(Path(str(shared_etcd.__file__)).read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name == shared.__name__
    )
    (declared,) = (node for node in kind.body if isinstance(node, ast.If))
    names = [getattr(node, "name", None) or node.target.id for node in declared.body]  # type: ignore[attr-defined]
    assert len(names) > 4
    missing = [name for name in names if not hasattr(own, name) and name not in own.__annotations__]
    assert missing == []
