"""How much memory a stalled reader costs: ``python tests/benchmarks/bench_memory.py [MEBIBYTES]``.

A sender has a GiB for a reader that does not read. When nothing more goes, the reader takes all of it, slowly at first.
Reported is by how much the resident memory of this process, proxy included, grew until then and at the most. It should
stay flat: a few MiB, whatever the size. Then follow what a delay holds of twelve connections together, and what
stays of links that were made and closed.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import sys
import threading
import time
from pathlib import Path

from pytest_netfault import NetFault
from pytest_netfault.faults import Delay, Fault, Slice, Throttle

CASES: list[Fault | None] = [None, Delay(0.005), Throttle(500_000_000), Slice(16_384)]
STALLED_SECONDS = 0.5
MIB = 1024 * 1024
BLOCK = bytes(MIB)


def resident() -> float:
    """Of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def stall(fault: Fault | None, size: int) -> tuple[float, float, float, float]:
    """MiB that went before all stood still; growth by then, and at the most; seconds to take it all."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        link = stack.enter_context(NetFault(seed=1)).forward(server.getsockname())
        client = stack.enter_context(socket.create_connection((link.host, link.port)))
        upstream = stack.enter_context(server.accept()[0])
        if fault is not None:
            stack.enter_context(link.apply(fault))
        upstream.sendall(b"x")
        client.recv(1)
        before = resident()
        sent = 0

        def send() -> None:
            nonlocal sent
            while sent < size:
                sent += client.send(memoryview(BLOCK)[: size - sent])

        thread = threading.Thread(target=send)
        thread.start()
        while select.select([], [client], [], STALLED_SECONDS)[1]:
            time.sleep(0.01)
        went, at_stall = sent / MIB, resident() - before
        start = time.monotonic()
        most, got = at_stall, 0
        room = bytearray(MIB)
        while got < size:
            got += upstream.recv_into(room, 20_000 if got < 4 * MIB else MIB)
            most = max(most, resident() - before)
        seconds = time.monotonic() - start
        thread.join()
        return went, at_stall, most, seconds


def crowd(seconds: float = 10.0) -> float:
    """MiB by which this process grows while a delay holds all that twelve connections can send, both ways."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        link = stack.enter_context(NetFault(seed=1)).forward(server.getsockname())
        link.delay(3600)
        ends: list[socket.socket] = []
        for _ in range(12):
            ends.append(stack.enter_context(socket.create_connection((link.host, link.port))))
            ends.append(stack.enter_context(server.accept()[0]))
        before, most, until = resident(), 0.0, time.monotonic() + seconds
        while time.monotonic() < until:
            for end in ends:
                end.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    end.send(BLOCK)
            most = max(most, resident() - before)
        return most


def made_and_closed(count: int) -> float:
    """MiB that stay for so many links, while their NetFault is open."""
    with NetFault(seed=1) as net:
        for _ in range(20):
            net.forward(9).close()
        before = resident()
        for _ in range(count):
            net.forward(9).close()
        return resident() - before


def verdict(figure: float, goal: float) -> str:
    return f"{figure:8.1f} MiB  {'reached' if figure < goal else 'missed'}  < {goal:g} MiB"


def main() -> None:
    links = made_and_closed(1500)  # first, while there is no memory that was freed and could be used again
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 1024) * MIB
    print(
        f"{size // MIB} MiB for a reader that stalls; growth of the resident memory of sender, proxy and reader"
    )
    print(f"{'':26}{'went before':>12}{'grown then':>12}{'at the most':>12}{'MB/s then':>12}")
    for fault in CASES:
        went, at_stall, most, seconds = stall(fault, size)
        print(
            f"{'no fault' if fault is None else repr(fault):26}{went:8.1f} MiB{at_stall:8.1f} MiB{most:8.1f} MiB"
            f"{size / 1e6 / seconds:12,.0f}",
            flush=True,
        )
    print()
    print(
        f"{'12 connections, all held by Delay(3600), both ways, 10 s':60}{verdict(crowd(), 256 + 16)}",
        flush=True,
    )
    print(f"{'1,500 links made and closed, their NetFault open':60}{verdict(links, 10)}")


if __name__ == "__main__":
    main()
