"""Whose a Unix path is: a socket that a killed process has left is replaced, everything else is left alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.proxy import listener

KILLED = """
import os, signal, sys
from pytest_netfault.control import NetFault
net = NetFault()
net.forward(9, listen=f"unix:{sys.argv[1]}")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(short_path: Path) -> Path:
    return short_path / "link"


@pytest.fixture
def dead(path: Path) -> Path:
    """A path that a killed process has left."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert path.is_socket()
    return path


def test_a_dead_one_is_replaced(make_rig: Any, dead: Path, helpers: Any) -> None:
    before = helpers.open_descriptors()
    rig = make_rig(listen=f"unix:{dead}")
    pair = rig.connect()
    pair.client.sendall(b"alive")
    assert pair.server.recv(9) == b"alive"
    assert [entry.name for entry in dead.parent.iterdir()] == ["link"]
    rig.net.close()
    assert not dead.exists()
    assert helpers.open_descriptors() <= before + 3  # the server and the pair, which the rig closes


@contextlib.contextmanager
def served(path: Path, kind: int, *, listens: bool) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))
        if listens:
            sock.listen()
        yield
        if listens:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.accept()  # it has seen nothing of the question


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM], ids=repr)
@pytest.mark.parametrize("listens", [True, False])
def test_one_that_lives_is_refused(net: NetFault, path: Path, kind: int, listens: bool) -> None:
    if kind == socket.SOCK_DGRAM and listens:
        pytest.skip("a datagram socket does not listen")
    with served(path, kind, listens=listens):
        inode = path.stat().st_ino
        with pytest.raises(
            OSError,
            match=rf"cannot listen on unix:{path}: a process that is running has a socket of that name",
        ):
            net.forward(9, listen=f"unix:{path}")
        assert path.stat().st_ino == inode


@pytest.mark.parametrize("fault", ["refuse", "sever", "blackhole", "stall_accept"])
def test_a_link_that_refuses_is_alive(net: NetFault, path: Path, fault: str) -> None:
    link = net.forward(9, listen=f"unix:{path}")
    with (
        getattr(link, fault)(),
        NetFault() as other,
        pytest.raises(OSError, match="a process that is running"),
    ):
        other.forward(9, listen=f"unix:{path}")
    assert path.is_socket()


def test_a_file_is_refused(net: NetFault, path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(OSError, match="there is a file of that name, which is no socket"):
        net.forward(9, listen=f"unix:{path}")
    assert path.read_text() == "precious"


def test_a_symbolic_link_to_a_dead_one_is_refused(net: NetFault, dead: Path) -> None:
    link = dead.parent / "symbolic"
    link.symlink_to(dead)
    with pytest.raises(OSError, match="which is no socket"):
        net.forward(9, listen=f"unix:{link}")
    assert dead.is_socket()


def test_of_many_at_once_one_gets_it(dead: Path, helpers: Any) -> None:
    won: list[Any] = []
    lost: list[OSError] = []
    ready = threading.Barrier(8)
    with contextlib.ExitStack() as stack:

        def run() -> None:
            net = stack.enter_context(NetFault())
            net.forward(9)
            ready.wait(20)
            try:
                won.append(net.forward(9, listen=f"unix:{dead}"))
            except OSError as error:
                lost.append(error)

        threads = [helpers.in_thread(stack, run) for _ in range(8)]
        for thread in threads:
            thread.join(20)
        assert len(won) == 1
        assert len(lost) == 7
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(dead))
            won[0].wait_for_connection(timeout=20)


def test_one_that_came_alive_meanwhile_is_put_back(
    net: NetFault, dead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process replaces the dead one, and listens, between our look and our removal."""
    real = os.rename
    with socket.socket(socket.AF_UNIX) as other:

        def rename(source: str, target: str) -> None:
            if source == str(dead):
                dead.unlink()
                other.bind(str(dead))
                other.listen()
            real(source, target)

        monkeypatch.setattr(listener.os, "rename", rename)
        with pytest.raises(OSError, match="a process that is running"):
            net.forward(9, listen=f"unix:{dead}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(dead))
        assert [entry.name for entry in dead.parent.iterdir()] == ["link"]
