"""Bytes that no fault claims arrive complete and in order, under back-pressure, in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import resource
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Lose,
    Refuse,
    Slice,
    StallAccept,
    Throttle,
)

directions = pytest.mark.parametrize("direction", ["up", "down"])


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@directions
def test_a_slow_reader_gets_every_byte_and_memory_stays_flat(rig: Any, helpers: Any, direction: str) -> None:
    size = 64 * 1024 * 1024
    pair = rig.connect(receive_buffer=65536)
    sender, receiver = pair.ends(direction)
    expected = hashlib.sha256()
    with contextlib.ExitStack() as stack:

        def send() -> None:
            for block in helpers.blocks(direction, size):
                expected.update(block)
                sender.sendall(block)
            sender.shutdown(socket.SHUT_WR)

        helpers.in_thread(stack, send)
        helpers.take(receiver, 1)
        before = highest = resident()
        got = hashlib.sha256(next(helpers.blocks(direction, size))[:1])
        for turn in itertools.count():
            # A small read, and now and then the proxy gets all the time it wants to run ahead.
            part = receiver.recv(20_000)
            if not part:
                break
            got.update(part)
            if turn % 100 == 0:
                rig.fence()
                highest = max(highest, resident())
    assert got.digest() == expected.digest()
    assert highest - before < 8 * 1024 * 1024


def test_both_directions_at_once(rig: Any, helpers: Any) -> None:
    size = 16 * 1024 * 1024
    pair = rig.connect()
    got: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for direction in ("up", "down"):
            sender, receiver = pair.ends(direction)

            def send(sender: socket.socket = sender, seed: str = direction) -> None:
                for block in helpers.blocks(seed, size):
                    sender.sendall(block)
                sender.shutdown(socket.SHUT_WR)

            def receive(receiver: socket.socket = receiver, seed: str = direction) -> None:
                data, ending = helpers.take_all(receiver)
                got[seed] = f"{hashlib.sha256(data).hexdigest()} {ending}"

            helpers.in_thread(stack, send)
            helpers.in_thread(stack, receive)
    for direction in ("up", "down"):
        data = b"".join(helpers.blocks(direction, size))
        assert got[direction] == f"{hashlib.sha256(data).hexdigest()} fin"


FAULTS: list[Fault] = [
    Refuse(),
    StallAccept(),
    Blackhole(),
    Blackhole("up"),
    Blackhole(packets=True),
    Delay(0.002),
    Delay(0.002, jitter=0.002),
    Throttle(50_000_000),
    Slice(5000),
    Slice(1400, gap=0.0001),
    Corrupt(0),
    Lose(0.001),
    Cut(10**12),
]


@pytest.mark.slow
@directions
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_switching_a_fault_on_and_off_under_load_loses_nothing(
    rig: Any, helpers: Any, direction: str, fault: Fault
) -> None:
    size = 6 * 1024 * 1024
    rig.link.apply(fault).heal()  # where this machine cannot do it, nobody has begun to send
    sender, receiver = rig.connect().ends(direction)
    expected = hashlib.sha256()
    with contextlib.ExitStack() as stack:

        def send() -> None:
            for block in helpers.blocks("on and off", size):
                expected.update(block)
                sender.sendall(block)
            sender.shutdown(socket.SHUT_WR)

        helpers.in_thread(stack, send)
        got, total = hashlib.sha256(), 0
        next_switch = size // 8
        active = None
        silent = isinstance(fault, Blackhole)
        while part := receiver.recv(65536):
            got.update(part)
            total += len(part)
            if total >= next_switch:
                next_switch += size // 8
                if active is None or silent:
                    active = rig.link.apply(fault)
                    if silent:  # nothing more would come
                        rig.fence()
                        active.heal()
                else:
                    active.heal()
                    active = None
    assert total == size
    assert got.digest() == expected.digest()


def test_a_reader_that_stalls_under_a_delay_keeps_memory_bounded(rig: Any, helpers: Any) -> None:
    with rig.link.delay(0.01):
        pair = rig.connect(receive_buffer=65536)
        before = resident()
        sent = rig.fill(pair.server)
        rig.later(0.05)
        sent += rig.fill(pair.server)
        assert sent < 64 * 1024 * 1024
        assert resident() - before < 32 * 1024 * 1024
        data = helpers.take(pair.client, sent)
        assert data.count(0) == sent


@directions
def test_slices_reach_the_receiver_one_by_one(rig: Any, direction: str) -> None:
    """A receiver that reads in time sees pieces of the size, or sums of them, never a piece that straddles."""
    sender, receiver = rig.connect().ends(direction)
    data = bytes(range(251)) * 40
    with rig.link.slice(100, gap=0.0005):
        sender.sendall(data)
        got = []
        while sum(map(len, got)) < len(data):
            got.append(receiver.recv(65536))
    assert b"".join(got) == data
    assert all(len(part) % 100 == 0 for part in got[:-1])
    assert len(got) > 20


@directions
def test_a_stalled_reader_of_slices_gets_them_all_later(rig: Any, helpers: Any, direction: str) -> None:
    sender, receiver = rig.connect(receive_buffer=8192).ends(direction)
    with rig.link.slice(1000):
        sent = rig.fill(sender)
        assert helpers.take(receiver, sent) == bytes(sent)
        sender.sendall(b"and on")
        assert helpers.take(receiver, 6) == b"and on"


@directions
def test_slices_leave_one_by_one_also_behind_a_reader_that_stalls(
    rig: Any, helpers: Any, direction: str
) -> None:
    """The kernel would join what waits for room into full segments, so each slice waits until the last has left."""
    size = 200_000
    sender, receiver = rig.connect(receive_buffer=8192).ends(direction)
    with rig.link.slice(1000):
        sender.sendall(bytes(size))
        rig.fence()
        assert helpers.take(receiver, size) == bytes(size)
        connection = rig.link._link.connections.live[1]
        sink = (connection.upstream if direction == "up" else connection.client).sock
        info = sink.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        assert struct.unpack_from("I", info, 156)[0] >= size // 1000  # tcpi_data_segs_out of linux/tcp.h


@directions
def test_throttled_bytes_come_at_the_rate(rig: Any, helpers: Any, direction: str) -> None:
    """Never before the line could have carried them, on the proxy's own clock."""
    sender, receiver = rig.connect().ends(direction)
    with rig.link.throttle(100_000):
        started = rig.link.events[-1].time
        sender.sendall(bytes(30_000))
        helpers.take(receiver, 30_000)
        sender.shutdown(socket.SHUT_WR)
        assert receiver.recv(1) == b""
        ended = [event.time for event in rig.link.events if event.kind == "fin"][-1]
    assert ended - started >= 0.3


def test_corruption_changes_bytes_and_neither_adds_nor_takes_any(rig: Any, helpers: Any) -> None:
    pair = rig.connect()
    data = os.urandom(200_000)
    with rig.link.corrupt(0.01, "up"):
        pair.client.sendall(data)
        got = helpers.take(pair.server, len(data))
        pair.server.sendall(data)
        assert helpers.take(pair.client, len(data)) == data
    damaged = sum(a != b for a, b in zip(data, got, strict=True))
    assert 1600 < damaged < 2400
