"""Control returns whatever the data does: stalled readers, dead upstreams, full buffers, many connections.

Each test makes a situation in which waiting for data would never end, and then only calls. If one waited, the suite's
timeout would say so; that the calls return in milliseconds is measured by the benchmarks.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.control import Link
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Forget,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)

EVERY_FAULT: list[Fault] = [
    Refuse(),
    StallAccept(),
    Blackhole(),
    Blackhole(packets=True),
    Blackhole("up", on_heal="sever"),
    Delay(0.01, jitter=0.01),
    Delay(3600),
    Throttle(1),
    Slice(1, gap=1),
    Slice(1),
    Corrupt(1),
    Lose(0.1),
    Cut(10**12),
    Cut(0, how="blackhole"),
    Sever(),
    Reset(),
    Forget(),
    Forget(packets=True),
]


def every_call(link: Link) -> None:
    """All that can be asked of a link."""
    for fault in EVERY_FAULT[:-6]:
        active = link.apply(fault)
        assert active.fault == fault
        _ = active.met_traffic, link.connections, link.events, link.bytes_up, link.bytes_down
        active.heal()
    stack = [link.apply(fault) for fault in EVERY_FAULT]
    with pytest.raises(TimeoutError):
        link.wait_for_bytes(10**15, timeout=0)
    stack[0].heal()
    link.heal()


def test_behind_a_reader_that_has_stopped_with_full_buffers_both_ways(rig: Any) -> None:
    pair = rig.connect()
    rig.fill(pair.client)
    rig.fill(pair.server)
    every_call(rig.link)


@pytest.mark.linux("connect() itself hangs only with a socket filter")
def test_while_an_upstream_never_answers(net: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        silent = net.forward(server.getsockname(), name="silent")
        silent.blackhole()
        link = net.forward(silent.address)
        for _ in range(5):
            client = stack.enter_context(socket.create_connection((link.host, link.port), timeout=20))
            client.sendall(b"anyone?")
        link.wait_for_connection(5)
        assert {one.state for one in link.connections} == {"connecting"}
        every_call(link)


def test_while_an_upstream_has_a_full_queue_of_connections(net: Any) -> None:
    """Nobody accepts there, and no filter is involved: the kernel leaves SYNs unanswered."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(server.getsockname())
        link = net.forward(server.getsockname())
        for _ in range(3):
            stack.enter_context(socket.create_connection((link.host, link.port), timeout=20)).sendall(b"?")
        link.wait_for_connection(3)
        every_call(link)


def test_while_a_unix_upstream_has_a_full_queue_of_connections(net: Any, short_path: Path) -> None:
    """There is no socket to it at all then: it is tried again soon."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(short_path / "full"))
        server.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.setblocking(False)
                sock.connect(server.getsockname())
        link = net.forward(f"unix:{server.getsockname()}")
        for _ in range(3):
            stack.enter_context(socket.create_connection((link.host, link.port), timeout=20)).sendall(b"?")
        link.wait_for_connection(3)
        with link.blackhole() as silence:
            assert silence.met_traffic
        with link.blackhole("down") as silence:
            assert not silence.met_traffic


def test_with_two_hundred_connections_that_nobody_reads(rig: Any) -> None:
    pairs = [rig.connect() for _ in range(200)]
    for pair in pairs:
        pair.client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(20):
                pair.client.send(bytes(65536))
    every_call(rig.link)
    assert len(rig.link.connections) == 0


def test_one_stalled_link_does_not_hold_up_another(make_rig: Any) -> None:
    stalled, other = make_rig(), make_rig()
    pair = stalled.connect()
    stalled.fill(pair.client)
    quick = other.connect()
    with stalled.link.slice(1), stalled.link.throttle(1):
        every_call(other.link)
    again = other.connect()
    again.client.sendall(b"alive")
    assert again.server.recv(9) == b"alive"
    assert quick.client.recv(1) == b""


def test_closing_does_not_wait_for_readers(make_rig: Any) -> None:
    rig = make_rig()
    pair = rig.connect()
    rig.fill(pair.client)
    rig.fill(pair.server)
    rig.link.sever()
    rig.link.close()
    rig.net.close()


def test_a_client_and_a_server_of_which_one_never_reads_and_one_never_writes(rig: Any, helpers: Any) -> None:
    """Severing must not wait for what cannot be delivered."""
    pair = rig.connect()
    rig.fill(pair.client)
    with rig.link.sever():
        assert helpers.take_all(pair.client)[1] in ("fin", "rst")
