"""Portable mode: links and processes without what only Linux has.

Here is what it is made of, and a part of the suite that shows it. ``tox -e portable`` runs all quick tests in it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.common import system
from pytest_netfault.proxy.poller import READ, WRITE, EpollPoller, Poller, PollPoller

TESTS = Path(__file__).parents[1]
# What meets the poller, the listener and the tie of processes in most ways, for its time.
PART = (
    "proxy/test_in_force.py",
    "proxy/test_honest_tcp.py",
    "proxy/test_listening.py",
    "servers/test_process.py",
)

PROGRAM = """
import contextlib, faulthandler, socket, sys, tempfile, threading
faulthandler.dump_traceback_later(240, exit=True)
from pathlib import Path
from support.without_linux import take_away
used = take_away(sys.argv[1])

from pytest_netfault import NetFault, UnsupportedFault
from pytest_netfault.faults import *
from pytest_netfault.proof.arguments import default_lanes
from pytest_netfault.servers.process import OwnedProcess

def serve(server):
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=echo, args=server.accept()[:1], daemon=True).start()

def echo(sock):
    with contextlib.suppress(OSError), sock:
        while data := sock.recv(100):
            sock.sendall(data)

def call(link, said=b"hello"):
    family = socket.AF_UNIX if link.address.startswith("unix:") else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect(link.host if family == socket.AF_UNIX else (link.host, link.port))
        client.sendall(said)
        heard = b""
        while len(heard) < len(said) and (more := client.recv(100)):
            heard += more
        return heard

server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
threading.Thread(target=serve, args=(server,), daemon=True).start()
folder = tempfile.TemporaryDirectory()
with folder, NetFault(seed=1) as net:
    links = [net.forward(port), net.forward(f"localhost:{port}", listen=f"unix:{folder.name}/link")]
    for link in links:
        assert call(link) == b"hello"
        for fault in (Delay(0.001), Throttle(10**6), Slice(2), Cut(10**6), Corrupt(0)):
            with link.apply(fault):
                assert call(link) == b"hello", fault
        for fault in (Sever(), Refuse()):
            with link.apply(fault):
                try:
                    call(link)
                except ConnectionRefusedError:
                    print("refused")
            assert call(link) == b"hello"
        for fault in (Blackhole(), StallAccept(), Blackhole(on_heal="reset"), Forget(), Reset()):
            link.apply(fault).heal()
            assert call(link) == b"hello"
        with link.cut(3, direction="down"):
            assert call(link) == b"hel"
        with link.cut(3, direction="down", how="rst"):
            try:
                call(link)
            except ConnectionError:
                print("reset")
    unused = net.forward(port)
    with unused.refuse() as active:
        pass
    assert active.met_traffic is not None
    try:
        links[0].lose(0.1)
    except UnsupportedFault as error:
        print(error)
    with OwnedProcess(["/bin/cat", "/dev/zero"], output=Path(folder.name, "log"), environment={}) as process:
        process.pause()
        process.resume()
        process.kill()
        assert process.returncode == -9
    assert default_lanes() > 0
print("used:", *used)
"""


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_nothing_that_only_linux_has_is_used(run_script: Callable[..., Any], platform: str) -> None:
    """Neither in portable mode here, nor where the system says that it is another one."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    environment |= {"NETFAULT_PORTABLE": "1" if platform == "linux" else ""}
    program = run_script(PROGRAM, platform, env=environment)
    expected = ["refused", "refused", "reset", "refused", "refused"]  # a Unix socket knows no reset
    assert [program.line() for _ in expected] == expected
    where = "portable mode does not use" if platform == "linux" else "this system does not have"
    assert f"needs socket filters (SO_ATTACH_FILTER), which {where}; run it on Linux" in program.line()
    assert program.line() == "used:"
    assert program.wait() == 0


@pytest.mark.slow
@pytest.mark.skipif(not system.LINUX, reason="all of the suite runs in portable mode here")
def test_a_part_of_the_suite_passes() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
        + [str(TESTS / name) for name in PART],
        env=os.environ | {"NETFAULT_PORTABLE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout


POLLERS = pytest.mark.parametrize("kind", [EpollPoller, PollPoller] if system.LINUX else [PollPoller])


@pytest.fixture
def ends() -> Iterator[Any]:
    pairs = [socket.socketpair() for _ in range(3)]
    yield pairs
    for one, other in pairs:
        one.close()
        other.close()


@POLLERS
def test_each_poller_serves_all_that_are_ready_in_turn(kind: type[Poller], ends: Any) -> None:
    poller = kind()
    for one, other in ends:
        poller.register(one.fileno(), READ)
        other.send(b"x")
    seen = {fd for _ in ends for fd, mask in poller.take(1) if mask & READ}
    assert seen == {one.fileno() for one, _ in ends}
    poller.modify(ends[0][0].fileno(), WRITE)
    assert poller.linger(0)
    assert len(poller.take(8)) == 3
    for one, _ in ends:
        poller.unregister(one.fileno())
    assert poller.take(8) == []
    poller.close()
    assert poller.closed
