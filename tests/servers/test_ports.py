from __future__ import annotations

import socket

import pytest

from pytest_netfault.common import system
from pytest_netfault.servers import ports
from pytest_netfault.servers.ports import ReservedPort


@pytest.mark.linux("elsewhere no socket can hold a port for another one that will bind it")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_nobody_gets_it_but_who_asks_as_a_server_does(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ReservedPort(host) as port:
        assert repr(port) == f"port-{port.number}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port.number)).close()
        with socket.socket(family) as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((host, port.number))
        with socket.create_server((host, port.number), family=family):  # with SO_REUSEADDR
            socket.create_connection((host, port.number)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port.number)).close()
    port.close()
    with socket.socket(family) as anyone:
        anyone.bind((host, port.number))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_elsewhere_nobody_gets_it_but_who_asks_for_its_number(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(system, "LINUX", False)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ReservedPort(host) as port, ReservedPort(host) as other:
        assert port.number != other.number
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port.number)).close()
        with socket.create_server((host, port.number), family=family), ReservedPort(host) as third:
            assert third.number not in (port.number, other.number)
        with socket.create_server((host, 0), family=family) as stranger:
            lowest = min(stranger.getsockname()[1], 32_768)
        assert 1024 < port.number < lowest


def test_elsewhere_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "LINUX", False)
    with ReservedPort() as port, socket.create_server(("127.0.0.1", port.number)):
        monkeypatch.setattr(ports, "_chosen", set())
        monkeypatch.setattr(ports, "_NEVER_GIVEN", range(port.number, port.number + 1))
        with pytest.raises(OSError, match=f"no port between {port.number} and {port.number} is free on 127"):
            ReservedPort()


def test_each_is_another() -> None:
    several = [ReservedPort() for _ in range(50)]
    try:
        assert len({port.number for port in several}) == 50
    finally:
        for port in several:
            port.close()


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        ReservedPort("192.0.2.1")
