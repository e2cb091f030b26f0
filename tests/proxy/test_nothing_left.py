"""No descriptor, thread, port or child outlives its NetFault, whatever happened in between."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from pytest_netfault.control import NetFault
from pytest_netfault.faults import (
    Blackhole,
    Cut,
    Delay,
    Fault,
    Forget,
    Refuse,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)


def left() -> set[str]:
    """What this process has: each descriptor with what it refers to, and each thread.

    Sets and not numbers, so that what another test's thread lets go of meanwhile does not count.
    """
    gc.collect()
    found = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this very listing
            if not of_a_cluster(int(entry.name)):
                found.add(f"descriptor {entry.name} {entry.readlink()}")
    return found


def left_since(before: set[str]) -> set[str]:
    """What is there now and was not before.

    Where a cluster lives in this process, a socket of its links that is just being made has no name yet; in a moment it
    has one, or is gone. What we leave behind stays.
    """
    extra = left() - before
    deadline = time.monotonic() + 20
    while extra and any(map(of_a_cluster, descriptors())) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
        extra &= left()
    return extra


def descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


def of_a_cluster(descriptor: int) -> bool:
    """Whether it belongs to the etcd cluster that other tests of this session share.

    Its members call each other, over links of this process, whenever they like.
    """
    names = []
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as one:
                for name_of in (one.getsockname, one.getpeername):
                    with contextlib.suppress(OSError):
                        names.append(str(name_of()))
    except OSError:
        return False  # closed meanwhile
    return any("netfault-cluster" in name for name in names)


def kept_by(net: NetFault) -> tuple[int, int, int]:
    """What the proxy's thread has to do: trio tasks, sockets that it watches, objects for connections."""
    engine = net._thread.engine()
    return engine.call(
        lambda: (
            trio.lowlevel.current_statistics().tasks_living,
            len(engine._handlers),
            sum(len(link._link.connections.live) for link in net._links),
        )
    )


@pytest.fixture
def nothing_left() -> Iterator[None]:
    before = left()
    yield
    assert left_since(before) == set()


@pytest.mark.usefixtures("nothing_left")
class TestDescriptorsAndThreads:
    def test_of_a_net_that_did_nothing(self) -> None:
        with NetFault():
            pass

    @pytest.mark.slow
    def test_of_a_thousand_connections(self, helpers: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, NetFault() as net:
            link = net.forward(server.getsockname())
            during, keeping = left(), kept_by(net)
            for turn in range(1000):
                with socket.create_connection((link.host, link.port), timeout=20) as client:
                    upstream, _ = server.accept()
                    with upstream:
                        client.sendall(b"x")
                        assert upstream.recv(1) == b"x"
                        if turn % 3 == 0:
                            helpers.hang_up(client)
                            assert helpers.take_all(upstream)[1] == "rst"
                        else:
                            client.shutdown(socket.SHUT_WR)
                            assert upstream.recv(1) == b""
                            upstream.close()
                            assert client.recv(1) == b""
                assert link.connections == [] or turn % 3
            while link.connections:
                link.wait_for_connection(
                    1000
                )  # a turn of the proxy, which hears of the last end a moment after us
            assert left_since(during) == set()
            assert kept_by(net) == keeping

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "fault",
        [Sever(), Refuse(), Blackhole(), Blackhole(packets=True), StallAccept(), Delay(3600), Throttle(1),
         Slice(1, gap=1), Cut(3), Cut(3, how="rst"), Cut(3, how="blackhole"), Forget(), Forget(packets=True)],
        ids=repr,
    )  # fmt: skip
    def test_of_connections_that_a_fault_holds_at_the_end(self, fault: Fault) -> None:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            net = stack.enter_context(NetFault())
            link = net.forward(server.getsockname())
            clients = [
                stack.enter_context(socket.create_connection((link.host, link.port))) for _ in range(20)
            ]
            link.apply(fault)
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(bytes(1000))

    def test_after_the_block_has_failed(self) -> None:
        def fails() -> None:
            with socket.create_server(("127.0.0.1", 0)) as server, NetFault() as net:
                link = net.forward(server.getsockname())
                with socket.create_connection((link.host, link.port)), link.delay(1):
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()

    def test_after_forwarding_has_failed(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, NetFault() as net:
            for _ in range(10):
                with pytest.raises(OSError, match="cannot listen"):
                    net.forward(9, listen=taken.getsockname())

    def test_of_links_closed_one_by_one(self) -> None:
        with NetFault() as net:
            links = [net.forward(9) for _ in range(20)]
            for link in links:
                link.close()
                link.close()

    def test_of_a_net_made_again_and_again(self) -> None:
        for _ in range(20):
            with NetFault() as net:
                net.forward(9)


def test_of_healed_faults_nothing_is_kept_where_nothing_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, NetFault() as net:
        link = net.forward(server.getsockname())
        with socket.create_connection((link.host, link.port)) as client, server.accept()[0] as upstream:
            client.sendall(b"!")
            assert upstream.recv(1) == b"!"  # both sides are connected: nothing moves from now on
            [connection] = link._link.connections.live.values()
            for fault in (Delay(1), Blackhole(), Slice(1), Throttle(1), Cut(3)):
                for moves in (False, True):
                    with link.apply(fault):
                        if moves:
                            link._link.engine.call(connection.catch_up)
                        # Where nothing moves a fault has put nothing yet.
                        assert any(pipe.flow.stages for pipe in connection.pipes) == moves
                assert not any(pipe.flow.stages or pipe.fresh for pipe in connection.pipes)


def test_the_port_is_given_back() -> None:
    with NetFault() as net:
        link = net.forward(9)
        address = (link.host, link.port)
        link.sever()
    with socket.create_server(address):
        pass


def run(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-W", "error", "-c", script], stdout=subprocess.PIPE, text=True)


SERVED = """
import os, signal, socket, sys
from pytest_netfault.control import NetFault
server = socket.create_server(("127.0.0.1", 0))
net = NetFault()
link = net.forward(server.getsockname())
client = socket.create_connection((link.host, link.port))
upstream, _ = server.accept()
client.sendall(b"x"); upstream.recv(1)
link.blackhole()
print(link.port, flush=True)
"""


@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)", "sys.exit(3)", "raise KeyboardInterrupt", ""],
)
def test_however_the_process_ends_its_port_is_free(end: str) -> None:
    with run(SERVED + end) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        process.wait(20)  # it does end, with a thread running
    with socket.create_server(("127.0.0.1", port)):
        pass


class TestFork:
    @pytest.fixture
    def child(self) -> Iterator[Any]:
        """Forks; the child runs what it is given, and then waits for the parent's word, or ends."""
        with contextlib.ExitStack() as stack:

            def fork(work: Any = lambda: None) -> Any:
                word, ear = os.pipe()[::-1]
                done, told = os.pipe()
                pid = os.fork()
                if pid == 0:
                    try:
                        os.close(word)
                        work()
                        os.write(told, b"done")
                        os.read(ear, 1)
                    except BaseException:  # noqa: BLE001, RUF100
                        traceback.print_exc()
                    finally:
                        os._exit(0)
                for descriptor in (ear, told):
                    os.close(descriptor)
                stack.callback(os.close, done)
                stack.callback(os.waitpid, pid, 0)
                stack.callback(os.close, word)
                assert os.read(done, 9) == b"done", "the child has failed"

            yield fork

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_reset_is_a_reset_while_a_forked_child_lives(
        self, pair: Any, rig: Any, helpers: Any, child: Any
    ) -> None:
        child(lambda: (pair.client.close(), pair.server.close()))
        rig.link.reset()
        assert helpers.take_all(pair.client) == (b"", "rst")
        assert helpers.take_all(pair.server) == (b"", "rst")

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_an_end_is_an_end_while_a_forked_child_lives(
        self, pair: Any, rig: Any, helpers: Any, child: Any
    ) -> None:
        child(lambda: (pair.client.close(), pair.server.close()))
        pair.client.close()
        assert helpers.take_all(pair.server) == (b"", "fin")
        with rig.link.refuse():
            assert rig.refused()
        rig.connect()

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    @pytest.mark.parametrize("fault", [Delay(0.001), Sever(), Blackhole()], ids=repr)
    def test_what_a_child_closes_and_its_exit_leave_the_links_alone(
        self, rig: Any, pair: Any, child: Any, fault: Fault
    ) -> None:
        def work() -> None:
            rig.link.heal()
            rig.link.close()
            rig.net.close()
            with contextlib.suppress(RuntimeError):
                rig.link.apply(fault)

        for _ in range(5):
            child(work)
            pair.client.sendall(b"alive")
            assert pair.server.recv(9) == b"alive"
            pair.server.sendall(b"alive")
            assert pair.client.recv(9) == b"alive"
        with rig.link.apply(fault):
            pass
        again = rig.connect()
        again.client.sendall(b"new")
        assert again.server.recv(9) == b"new"

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_child_may_have_links_of_its_own(self, child: Any) -> None:
        with NetFault() as outer:
            outer.forward(9)

            def work() -> None:
                with socket.create_server(("127.0.0.1", 0)) as server, NetFault() as net:
                    link = net.forward(server.getsockname())
                    with socket.create_connection((link.host, link.port), timeout=20) as client:
                        upstream, _ = server.accept()
                        client.sendall(b"x")
                        assert upstream.recv(1) == b"x"

            child(work)

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_forks_in_the_middle_of_traffic_from_many_threads(self, rig: Any, helpers: Any) -> None:
        """A child holds no socket that the proxy was just making: each connection ends for its peer all the same."""
        with contextlib.ExitStack() as stack:
            stop = threading.Event()

            def fork_on() -> None:
                while not stop.is_set():
                    pid = os.fork()
                    if pid == 0:
                        os._exit(0)
                    os.waitpid(pid, 0)

            for _ in range(2):
                helpers.in_thread(stack, fork_on)
            stack.callback(stop.set)
            for _ in range(100):
                with rig.dial() as client, rig.answer() as server:
                    client.sendall(b"x")
                    assert server.recv(1) == b"x"
                    rig.link.reset()
                    assert helpers.take_all(server)[1] == "rst"

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_child_keeps_no_descriptor_of_the_links(self, rig: Any, pair: Any, child: Any) -> None:
        pair.client.sendall(b"x")
        assert pair.server.recv(1) == b"x"
        theirs = {fd: inode_of(fd) for fd in sockets_of(rig.link)}

        def work() -> None:
            assert inode_of(pair.client.fileno())
            assert not [fd for fd, inode in theirs.items() if inode_of(fd) == inode]

        child(work)


def sockets_of(link: Any) -> list[int]:
    """The descriptors of a link with one connection: those that the proxy's thread uses."""
    inside = link._link
    connection = inside.connections.live[1]
    socks = [
        inside.listener._sock,
        connection.client.sock,
        connection.upstream.sock,
        inside.engine._wakeup._wakeup_send,
    ]
    return [sock.fileno() for sock in socks]


def inode_of(fd: int) -> int:
    """What an open descriptor refers to; 0 if it is not open."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


def test_a_subprocess_inherits_nothing(rig: Any, pair: Any) -> None:
    pair.client.sendall(b"x")
    assert pair.server.recv(1) == b"x"
    ours = {inode_of(fd) for fd in sockets_of(rig.link)}
    assert len(ours) == 4
    script = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        print(os.fstat(int(name)).st_ino)
    except OSError:
        pass
"""
    out = subprocess.run(
        [sys.executable, "-c", script], close_fds=False, capture_output=True, text=True, check=True
    )
    assert out.stdout
    assert not ours & set(map(int, out.stdout.split()))


@pytest.mark.slow
def test_a_thousand_connections_at_once(make_rig: Any) -> None:
    rig = make_rig()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((rig.link.host, rig.link.port), timeout=20))
            for _ in range(1000)
        ]
        upstreams = []
        for number, client in enumerate(clients):
            client.sendall(b"%03d" % number)
        for _ in clients:
            upstream = stack.enter_context(rig.server.accept()[0])
            upstreams.append(upstream)
            upstream.sendall(upstream.recv(3))
        assert [client.recv(3) for client in clients] == [b"%03d" % number for number in range(1000)]
        assert len(rig.link.connections) == 1000
        assert rig.link.bytes_up == rig.link.bytes_down == 3000
        with rig.link.sever():
            assert all(client.recv(1) == b"" for client in clients)
    assert select.select([rig.server], [], [], 0) == ([], [], [])
