"""What happened on a link is a list of records: wait for it, assert on it, or print it."""

from __future__ import annotations

import logging
import socket

import pytest

from pytest_netfault import Cut
from pytest_netfault.events import describe


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_wait_for_what_happened_and_never_for_time(netfault, server):
    link = netfault.forward(server.getsockname(), name="shop")
    with socket.create_connection((link.host, link.port)) as client:
        client.sendall(b"order 17")
        link.wait_for_connection()
        link.wait_for_bytes(8, "up")

        (connection,) = link.connections
        assert (connection.number, connection.state, connection.bytes_up) == (1, "open", 8)

        with pytest.raises(TimeoutError, match="saw 1 connection, 8 bytes up"):
            link.wait_for_bytes(9, "up", timeout=0.1)


def test_the_story_of_a_link(netfault, server):
    link = netfault.forward(server.getsockname(), name="shop")
    with link.cut(4, direction="up") as cut:
        with socket.create_connection((link.host, link.port)) as client:
            client.sendall(b"order 17")
            assert client.recv(1) == b""  # cut after "orde"
        assert cut.met_traffic
        assert cut.fault == Cut(4, direction="up")

    story = [describe(event, since=link.events[0].time) for event in link.events]
    assert any("#1 hit (up 4 B, down 0 B)" in line for line in story), "\n".join(story)

    kinds = [event.kind for event in link.events]
    assert kinds.index("fault") < kinds.index("hit") < kinds.index("heal")
    (hit,) = (event for event in link.events if event.kind == "hit")
    assert hit.bytes_up == 4


def test_the_events_in_the_log_of_the_test(netfault, server, caplog):
    caplog.set_level(logging.DEBUG, logger="pytest_netfault")
    link = netfault.forward(server.getsockname(), name="shop")
    with socket.create_connection((link.host, link.port)) as client:
        link.wait_for_connection()
        with link.delay(0.001, direction="up"):
            client.sendall(b"order 17")
            link.wait_for_bytes(8, "up")

    faults = [record for record in caplog.records if record.name == "pytest_netfault.faults"]
    first, *others = (record.getMessage() for record in faults)
    assert first.startswith("shop fault Delay(0.001, direction='up') (")  # and the line of the test
    assert others == [
        "shop #1 hit (up 0 B, down 0 B) Delay(0.001, direction='up') up",
        "shop heal Delay(0.001, direction='up')",
    ]
    assert faults[2].link_event.met
