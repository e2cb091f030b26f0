"""What 10,000 connections leave behind: ``python tests/benchmarks/bench_leaks.py [CONNECTIONS]``.

The connections come a hundred at a time through one link and end in every way there is, in turns: in order from either
side, half-closed first, by RST from either side, and by ``sever``, ``reset``, ``cut`` and a black hole that is healed
with a reset. Counted are, of this process: descriptors, threads, listening ports, sockets of any state, the trio tasks
and the sockets that the proxy watches, and its objects for connections. First with the link still open, then with
everything closed. All differences should be zero.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from pytest_netfault import Link, NetFault
from pytest_netfault.proxy.connection import Connection

AT_ONCE = 100
PATIENCE = 60.0
Pair = tuple[socket.socket, socket.socket]


def sockets() -> tuple[int, int]:
    """How many sockets this process has, and how many of them listen, as the kernel tells."""
    listening = {
        row.split()[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for row in Path(table).read_text().splitlines()[1:]
        if row.split()[3] == "0A"
    }
    inodes = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        with contextlib.suppress(OSError):  # the descriptor of this very listing
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - no path
            if target.startswith("socket:["):
                inodes.append(target[8:-1])
    return len(inodes), sum(inode in listening for inode in inodes)


def counts(net: NetFault | None) -> dict[str, int]:
    """What there is now."""
    gc.collect()
    all_of_them, listening = sockets()
    found = {
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "sockets": all_of_them,
        "listening ports": listening,
        "threads": threading.active_count(),
        "connection objects": sum(isinstance(thing, Connection) for thing in gc.get_objects()),
    }
    if net is not None:
        engine: Any = net._thread.engine()
        found["trio tasks"] = engine.call(lambda: trio.lowlevel.current_statistics().tasks_living)
        found["watched sockets"] = engine.call(lambda: len(engine._handlers))
    return found


def hang_up(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def in_order(_: Link, pairs: list[Pair]) -> None:
    for number, pair in enumerate(pairs):
        pair[number % 2].shutdown(socket.SHUT_WR)
        assert pair[1 - number % 2].recv(9) == b""


def half_closed(_: Link, pairs: list[Pair]) -> None:
    for client, server in pairs:
        client.shutdown(socket.SHUT_WR)
        assert server.recv(9) == b""
        server.sendall(b"still here")
        assert client.recv(99) == b"still here"
        server.close()


def reset_by_a_side(_: Link, pairs: list[Pair]) -> None:
    for number, pair in enumerate(pairs):
        hang_up(pair[number % 2])


def severed(link: Link, _: list[Pair]) -> None:
    link.sever().heal()


def reset_by_the_link(link: Link, _: list[Pair]) -> None:
    link.reset()


def cut(link: Link, pairs: list[Pair]) -> None:
    with link.cut(3, direction="up", how="rst"):
        for client, _ in pairs:
            client.sendall(b"xyz")
        end_of_all(pairs)


def black_hole(link: Link, pairs: list[Pair]) -> None:
    with link.blackhole(on_heal="reset"):
        for client, _ in pairs:
            client.sendall(b"never arrives")


def end_of_all(pairs: list[Pair]) -> None:
    for pair in pairs:
        for sock in pair:
            if sock.fileno() >= 0:
                with contextlib.suppress(OSError):
                    while sock.recv(65536):
                        pass


ENDS: list[Callable[[Link, list[Pair]], None]] = [
    in_order,
    half_closed,
    reset_by_a_side,
    severed,
    reset_by_the_link,
    cut,
    black_hole,
]


def a_hundred(link: Link, server: socket.socket, end: Callable[[Link, list[Pair]], None]) -> None:
    """Open connections, let each carry a byte, and end them."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for _ in range(AT_ONCE):
            client = stack.enter_context(socket.create_connection((link.host, link.port), PATIENCE))
            upstream = stack.enter_context(server.accept()[0])
            upstream.settimeout(PATIENCE)
            client.sendall(b"x")
            assert upstream.recv(1) == b"x"
            pairs.append((client, upstream))
        end(link, pairs)
    deadline = time.monotonic() + PATIENCE
    while link.connections:
        assert time.monotonic() < deadline, link.connections
        time.sleep(0.002)  # the proxy hears of the last ends a moment after us


def table(title: str, before: dict[str, int], after: dict[str, int]) -> bool:
    print(f"{title:36}{'before':>8}{'after':>8}{'left':>8}")
    for what, there in before.items():
        print(f"  {what:34}{there:8}{after[what]:8}{after[what] - there:8}")
    return before == after


def main() -> int:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    start = time.monotonic()
    with socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE) as server:
        server.settimeout(PATIENCE)
        nothing = counts(None)
        with NetFault(seed=1) as net:
            link = net.forward(server.getsockname())
            for end in ENDS:  # what is made once and kept is there before we count
                a_hundred(link, server, end)
            fresh = counts(net)
            for number in range(-(-total // AT_ONCE)):
                a_hundred(link, server, ENDS[number % len(ENDS)])
            used = counts(net)
        closed = counts(None)
    made = -(-total // AT_ONCE) * AT_ONCE
    print(f"{made:,} connections in {time.monotonic() - start:.0f} s")
    clean = table("with the link still open", fresh, used)
    clean &= table("with everything closed", nothing, closed)
    print("nothing is left" if clean else "SOMETHING IS LEFT")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
