"""Three real members whose traffic crosses real links."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.servers.errors import ServerError, ServerUnreachable
from pytest_netfault.servers.etcd import EtcdCluster
from pytest_netfault.servers.peers import is_between_members
from pytest_netfault.storm.arming import Arming
from pytest_netfault.storm.traffic import Traffic

pytestmark = pytest.mark.slow

NAMES = ["m1", "m2", "m3"]


@pytest.fixture
def net() -> Iterator[NetFault]:
    with NetFault(seed=7) as opened:
        yield opened


@pytest.fixture
def cluster(etcd_binary: Path, net: NetFault) -> Iterator[EtcdCluster]:
    with EtcdCluster(etcd_binary, net.forward) as started:
        yield started


def _put(member: Any, key: bytes, timeout: float = 10.0) -> int:
    revision: int = member._gateway.put(key, b"v", timeout=timeout)
    return revision


def test_three_members_keep_one_store_over_six_links(cluster: EtcdCluster) -> None:
    assert list(cluster.members) == NAMES
    assert cluster.addresses == [member.address for member in cluster.members.values()]
    assert cluster.address == cluster.addresses[0]
    assert repr(cluster) == f"etcd-cluster-{cluster.port}"
    assert cluster.revision() == 1
    for name, member in cluster.members.items():
        _put(member, name.encode())
    assert [member.revision() for member in cluster.members.values()] == [4, 4, 4]
    assert [entry.events[0].key for entry in cluster.log(0)] == [b"m1", b"m2", b"m3"]
    assert set(cluster.links) == {(a, b) for a in NAMES for b in NAMES if a != b}
    for link in cluster.links.values():
        link.wait_for_connection()
    assert cluster.links["m1", "m2"].name == "m1-m2"
    assert cluster.leader() in NAMES
    assert cluster.start() is cluster


def test_a_storm_leaves_the_links_between_members_alone(etcd_binary: Path, net: NetFault) -> None:
    traffic = Traffic()
    arming = Arming(traffic)
    arming.arm()
    try:
        with EtcdCluster(etcd_binary, net.forward) as cluster:
            _put(cluster.members["m2"], b"a")
            listens = [link.address for link in cluster.links.values()]
            assert all(is_between_members(address) for address in listens)
        assert not any(is_between_members(address) for address in listens)
    finally:
        arming.heal()
    assert traffic.profile(1.0).exchanges == ()


def test_a_leader_that_is_cut_off_is_replaced_and_learns_what_it_missed(cluster: EtcdCluster) -> None:
    old = cluster.leader()
    others = [name for name in NAMES if name != old]
    first = _put(cluster.members[old], b"before")
    with cluster.partition([old], others) as partition:
        assert repr(partition) == f"{old}|{'+'.join(others)}"
        new = cluster.leader(timeout=30)
        assert new in others
        second = _put(cluster.members[new], b"during")
        with pytest.raises(ServerUnreachable):
            cluster.members[old].revision(timeout=0.3)
        assert cluster.revision() == second == first + 1
        # The whole store's log is read, although one member cannot tell it.
        assert [entry.events[0].key for entry in cluster.log(0)] == [b"before", b"during"]
        compacted = cluster.compact()
    partition.heal()
    assert cluster.members[old].revision(timeout=30) == compacted
    assert [entry.revision for entry in cluster.log(0)] == [2, 3, 4]


def test_without_a_majority_nobody_answers(cluster: EtcdCluster) -> None:
    with cluster.partition("m1", "m2", "m3"):
        with pytest.raises(ServerUnreachable, match="did not answer"):
            cluster.revision(timeout=0.5)
    assert cluster.revision(timeout=30) == 1


def test_members_die_and_come_back(cluster: EtcdCluster) -> None:
    first, second = cluster.members["m1"], cluster.members["m2"]
    first.kill()
    assert first.pid is None
    _put(cluster.members[cluster.leader(timeout=30)], b"a")
    assert len(cluster.log(0)) == 1
    second.kill()
    with pytest.raises(ServerUnreachable):
        cluster.revision(timeout=0.3)
    second.start(wait=False)
    first.start()
    second.start()
    assert first.revision(timeout=30) == 2
    second.restart()
    first.pause()
    _put(cluster.members[cluster.leader(timeout=30)], b"b")
    first.resume()
    assert first.revision(timeout=30) == 3
    assert [entry.revision for entry in cluster.log(0)] == [2, 3]
    assert "m2:\n" in cluster.output()


def test_what_is_no_partition_is_refused(net: NetFault, any_binary: Path) -> None:
    cluster = EtcdCluster(any_binary, net.forward)
    with pytest.raises(ValueError, match="at least two groups of members, not 1"):
        cluster.partition(NAMES)
    with pytest.raises(ValueError, match="'m4' is no member: the members are m1, m2, m3"):
        cluster.partition(["m1"], ["m4"])
    with pytest.raises(ValueError, match="'m1' is in two groups at once"):
        cluster.partition(["m1"], ["m1", "m2"])
    with pytest.raises(TypeError, match="flags must be a list"):
        EtcdCluster(any_binary, net.forward, flags="--x")
    with pytest.raises(ServerError, match="etcd-cluster is not started, or closed"):
        cluster.revision()
    cluster.close()


def test_links_between_are_those_that_cross() -> None:
    made: dict[str, Any] = {}

    def forward(upstream: str, /, *, listen: str, name: str) -> Any:
        made[name] = (upstream, listen)
        return name

    cluster = EtcdCluster("etcd", forward)
    cluster.links = {(a, b): f"{a}-{b}" for a in NAMES for b in NAMES if a != b}
    assert set(cluster.links_between(["m1"], ["m2", "m3"])) == {"m1-m2", "m2-m1", "m1-m3", "m3-m1"}
    assert set(cluster.links_between("m1", "m2")) == {"m1-m2", "m2-m1"}
    assert len(cluster.links_between("m1", "m2", "m3")) == 6


def test_close_leaves_nothing(any_binary: Path, net: NetFault, wait_for_end: Callable[[int], None]) -> None:
    threads = set(threading.enumerate())
    descriptors = set(Path("/proc/self/fd").iterdir())
    with EtcdCluster(any_binary, net.forward) as cluster:
        pids = [member.pid for member in cluster.members.values()]
        ports = [member.port for member in cluster.members.values()]
        cluster.members["m1"].pause()
    cluster.close()
    for pid in pids:
        assert pid is not None
        wait_for_end(pid)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
    for thread in set(threading.enumerate()) - threads:
        if "etcd" in thread.name:
            thread.join(10)
            assert not thread.is_alive()
    assert all(link.connections == [] for link in net.links)
    net.close()
    assert set(Path("/proc/self/fd").iterdir()) <= descriptors


def test_a_start_that_fails_says_why_and_leaves_nothing(any_binary: Path, net: NetFault) -> None:
    with pytest.raises(
        ServerError, match=r"ended with exit code 2 before it served; .*\n(.*\n)*.*no-such-flag"
    ):
        EtcdCluster(any_binary, net.forward, flags=["--no-such-flag"]).start()
    assert all(link.connections == [] for link in net.links)


def test_all_members_end_with_their_process(
    run_script: Callable[..., Any], any_binary: Path, wait_for_end: Callable[[int], None]
) -> None:
    script = run_script(
        """
import os, sys
from pytest_netfault.control import NetFault
from pytest_netfault.servers.etcd import EtcdCluster
from pytest_netfault.servers.peers import is_between_members
from pytest_netfault.storm.arming import Arming
from pytest_netfault.storm.traffic import Traffic
cluster = EtcdCluster(sys.argv[1], NetFault(seed=1).forward).start()
print(*[member.pid for member in cluster.members.values()], flush=True)
sys.stdin.read()
""",
        any_binary,
    )
    pids = [int(pid) for pid in script.line().split()]
    os.kill(script.process.pid, 9)
    for pid in pids:
        wait_for_end(pid)
