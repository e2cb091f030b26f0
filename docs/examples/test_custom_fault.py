"""A fault of your own: a middlebox that delivers every piece of data twice.

A fault is a frozen dataclass; what it does to one direction of one connection is a stage. The proxy pushes what was
read into the stage and pulls out what goes on. A stage knows neither sockets nor a clock (it is told the time), so it
is tested by calling it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from pytest_netfault.faults import Direction
from pytest_netfault.proxy import Added, CustomFault, Item, Place, Stage


@dataclass(frozen=True, repr=False)
class Repeat(CustomFault):
    """Every piece of data arrives twice."""

    direction: Direction = "both"

    def stage(self, place: Place) -> Stage:
        return RepeatStage()


class RepeatStage(Stage):
    def push(self, now: float, item: Item) -> None:
        super().push(now, item)
        if isinstance(item, (bytes, memoryview)):  # not the FIN or RST behind the last byte
            # `Added` bytes are delivered but not counted, so that cut(after_bytes) still means the sender's bytes.
            super().push(now, Added(item))


def test_the_stage():
    stage = RepeatStage()
    stage.push(0.0, b"pay 5\n")
    assert [stage.pull(0.0), stage.pull(0.0), stage.pull(0.0)] == [b"pay 5\n", b"pay 5\n", None]


def test_the_fault_on_a_link(netfault):
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = netfault.forward(server.getsockname())
        with socket.create_connection((link.host, link.port)) as client:
            with server.accept()[0] as served:
                with link.apply(Repeat("up")):
                    client.sendall(b"pay 5\n")
                    assert read(served, 12) == b"pay 5\npay 5\n"
                client.sendall(b"pay 6\n")
                assert read(served, 6) == b"pay 6\n"


def read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data))
    return data
