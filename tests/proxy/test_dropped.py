"""A NetFault that nobody refers to any more ends, with a ResourceWarning, as a file does."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import weakref

import pytest

from pytest_netfault.control import NetFault

DROPPED = """
import gc, socket, sys, threading, time
from pathlib import Path
from pytest_netfault.control import NetFault

def counted():
    return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

raised = []
sys.unraisablehook = lambda args: raised.append(args.exc_type.__name__)
server = socket.create_server(("127.0.0.1", 0), backlog=100)
before = counted()
for _ in range(50):
    net = NetFault()
    link = net.forward(server.getsockname())
    client = socket.create_connection((link.host, link.port))
    link.wait_for_connection()
    link.delay(1, direction="up")
    client.close()
    del net, link, client
gc.collect()
deadline = time.monotonic() + 20
while counted() != before and time.monotonic() < deadline:
    time.sleep(0.01)
assert counted() == before, (before, counted())
assert raised == ["ResourceWarning"] * 50, raised
"""


def test_fifty_of_them_leave_no_thread_and_no_descriptor() -> None:
    out = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", DROPPED],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr


def test_the_warning_names_the_links_and_what_to_do() -> None:
    net = NetFault()
    link = net.forward(9, name="orders")
    address, thread = (link.host, link.port), net._thread._life.thread  # type: ignore[union-attr]
    with pytest.warns(
        ResourceWarning, match=rf"orders \(127.0.0.1:{link.port} -> 127.0.0.1:9\).*net.close\(\)"
    ):
        del net, link
    thread.join(20)
    assert not thread.is_alive()
    with socket.create_server(address):
        pass


def test_a_link_or_a_fault_that_somebody_keeps_keeps_it_alive() -> None:
    active = NetFault().forward(9).refuse()
    gc.collect()
    assert not active.healed
    active.heal()
    thread = active._thread
    del active
    thread.close()


def test_one_that_was_closed_is_collected_in_silence() -> None:
    with NetFault() as net:
        net.forward(9).delay(1)
    gone = weakref.ref(net)
    thread = net._thread._life.thread  # type: ignore[union-attr]
    del net
    assert gone() is None  # without a cycle that only the collector ends
    assert not thread.is_alive()


def test_one_without_links_is_collected_in_silence() -> None:
    before = threading.active_count()
    NetFault()
    gc.collect()
    assert threading.active_count() == before
