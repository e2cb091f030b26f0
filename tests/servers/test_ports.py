from __future__ import annotations

import socket

import pytest

from pytest_netfault.servers.ports import ReservedPort


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


def test_each_is_another() -> None:
    ports = [ReservedPort() for _ in range(50)]
    try:
        assert len({port.number for port in ports}) == 50
    finally:
        for port in ports:
            port.close()


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        ReservedPort("192.0.2.1")
