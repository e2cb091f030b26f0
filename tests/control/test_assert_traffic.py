"""`Link.assert_traffic`: a test that breaks a link which nobody uses must not pass."""

from __future__ import annotations

import socket

import pytest

from pytest_netfault import NetFault


def test_a_link_that_nobody_uses_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=1) as net:
        link = net.forward(server.getsockname(), name="etcd")
        with pytest.raises(
            AssertionError, match=r"link etcd .*saw 0 connections.*connect to 127\.0\.0\.1:\d+\?"
        ):
            link.assert_traffic()


def test_traffic_counts_in_both_directions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=1) as net:
        link = net.forward(server.getsockname())
        with (
            socket.create_connection((link.host, link.port), timeout=10) as client,
            server.accept()[0] as upstream,
        ):
            client.sendall(b"12345")
            assert upstream.recv(5, socket.MSG_WAITALL) == b"12345"
            link.assert_traffic(up=5, down=0)
            with pytest.raises(AssertionError, match="5 bytes up and 0 bytes down"):
                link.assert_traffic()
            upstream.sendall(b"1")
            assert client.recv(1) == b"1"
            link.assert_traffic(up=5, down=1)
            with pytest.raises(AssertionError, match="6 bytes up and 1 byte down, but saw"):
                link.assert_traffic(up=6)
        net.close()
        link.assert_traffic(up=5)


@pytest.mark.parametrize("wrong", [True, 1.5, "1", None])
def test_a_count_must_be_a_whole_number(wrong: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=1) as net:
        link = net.forward(server.getsockname())
        with pytest.raises(TypeError, match="up must be a whole number"):
            link.assert_traffic(up=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at least 0, not -1"):
            link.assert_traffic(down=-1)
