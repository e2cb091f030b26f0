"""What a report says of the client, the server and the call."""

from __future__ import annotations

import types
from typing import Any

import pytest

from pytest_netfault.proof import host
from pytest_netfault.proof.about import NOTHING_KNOWN, about
from pytest_netfault.proof.replaying import replay_lines
from pytest_netfault.schedules import Break, Forget, Schedule, Sever, Subscribe


def open_store(address: str) -> Any:
    """A client."""
    raise NotImplementedError(address)


class Etcd:
    """Looks like one of ours: by the name of its class."""

    address = "127.0.0.1:2379"
    version = "3.5.1"

    def __repr__(self) -> str:
        return "etcd-2379"


SERVER = types.SimpleNamespace(address="127.0.0.1:6379")


def test_client_server_and_call_are_named(request: pytest.FixtureRequest) -> None:
    known = about(open_store, Etcd())
    assert known.store.endswith("test_about.py:open_store")
    assert known.store_name.endswith("test_about.open_store")
    assert (known.server, known.server_option) == ("etcd-2379 at 127.0.0.1:2379, version 3.5.1", "")
    place, _, source = known.called_at.partition(": ")
    assert "test_about.py:" in place
    assert source == "known = about(open_store, Etcd())"
    session = host.current()
    assert session is not None
    assert known.test == session.test == request.node.nodeid
    assert dict(known.facts()).keys() == {"test", "called at", "store", "server"}


def test_a_server_that_the_command_cannot_start_is_left_to_the_reader() -> None:
    known = about(open_store, SERVER)
    assert known.server_option == "MODULE:server"
    assert "version" not in known.server
    assert "127.0.0.1:6379" in known.server


@pytest.mark.parametrize(
    "store", [lambda address: address, int, print, types.SimpleNamespace(), Etcd().__repr__]
)
def test_a_client_that_no_file_names_has_no_place(store: object) -> None:
    assert about(store, SERVER).store == ""
    assert about(store, SERVER).store_name


def test_nothing_known_is_no_fact() -> None:
    assert NOTHING_KNOWN.facts() == ()


@pytest.mark.parametrize(
    ("fault", "notice", "said"),
    [
        (Forget(), 13.0, ", notice=13"),
        (Forget(), None, ", notice=None"),
        (Forget(), 60.0, ""),
        (Sever(), 13.0, ""),
    ],
)
def test_only_what_is_not_the_default_is_said(fault: Any, notice: float | None, said: str) -> None:
    schedule = Schedule([Subscribe(), Break(fault)])
    assert replay_lines(schedule, notice=notice)[-1] == f"verify.replay(open_store, server, schedule{said})"
    call = replay_lines(schedule, promise="comes-back", settle=2.5, notice=notice)[-1]
    assert call == f"verify.replay(open_store, server, schedule, promise='comes-back', settle=2.5{said})"
