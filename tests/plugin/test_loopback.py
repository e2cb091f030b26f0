"""What SECURITY.md says: nothing but loopback is listened on unless a test asks for more. The kernel is asked."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import NetFault
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import EtcdCluster, EtcdServer, find_binary

_LISTENING = "0A"  # of the kernel's TCP states


def _listening(pid: int | str) -> set[tuple[str, int]]:
    """Every address that a process listens on, as the kernel tells it."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            inodes.add(str(descriptor.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENING and f"socket:[{words[9]}]" in inodes:
                host, _, port = words[1].partition(":")
                found.add((_address(host), int(port, 16)))
    return found


def _address(text: str) -> str:
    """The kernel prints addresses as words in the byte order of the machine."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _outside(pid: int | str, before: Set[tuple[str, int]] = frozenset()) -> set[tuple[str, int]]:
    return {one for one in _listening(pid) - before if not ipaddress.ip_address(one[0]).is_loopback}


@pytest.mark.parametrize("given", ["by the fixture", "without pytest"])
def test_a_link_listens_on_loopback_only(netfault: NetFault, given: str) -> None:
    before = _listening("self")
    with contextlib.ExitStack() as opened:
        net = netfault if given == "by the fixture" else opened.enter_context(NetFault())
        link = net.forward(9)
        assert _listening("self") - before == {("127.0.0.1", link.port)}
        with socket.create_connection(
            (link.host, link.port)
        ):  # a fault on a link that nobody uses is a mistake
            link.wait_for_connection()
        with link.refuse():
            assert _outside("self", before) == set()


def test_more_is_listened_on_if_the_test_says_so_and_this_file_would_see_it() -> None:
    before = _listening("self")
    with NetFault() as net:
        link = net.forward(9, listen=("0.0.0.0", 0))
        assert _outside("self", before) == {("0.0.0.0", link.port)}
        if socket.has_ipv6:
            six = net.forward(9, listen=("::1", 0))
            assert ("::1", six.port) in _listening("self")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one", "cluster"])
def test_an_etcd_of_ours_listens_on_loopback_only(kind: str) -> None:
    try:
        binary = find_binary()
    except ServerError as error:
        pytest.skip(f"no etcd of ours can be started: {error}")
    with NetFault() as net:
        server: Any = EtcdServer(binary) if kind == "one" else EtcdCluster(binary, net.forward)
        with server:
            pids = [server.pid] if kind == "one" else [member.pid for member in server.members.values()]
            for pid in pids:
                assert _listening(pid), "it listens somewhere, or it could not be used"
                assert _outside(pid) == set()
