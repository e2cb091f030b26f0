"""A client that finds its servers by itself: a real Redis Cluster whose nodes advertise links."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_netfault.servers import OwnedServer, ReservedPort

redis = pytest.importorskip("redis", reason="the package redis is not installed")
from redis.backoff import ConstantBackoff  # noqa: E402 - behind the question whether it is there
from redis.cluster import ClusterNode, RedisCluster  # noqa: E402
from redis.retry import Retry  # noqa: E402

if TYPE_CHECKING:
    from pytest_netfault import Link, NetFault

NODES = 3
SLOTS = 16384


def node_of(program: str, bus: ReservedPort) -> OwnedServer:
    """A node, with a port of its own for what the nodes say to each other."""

    def command(port: int, folder: Path) -> list[str]:
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "save": "",
            "dir": folder,
            "cluster-enabled": "yes",
            "cluster-port": bus.number,
        }
        return [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    return OwnedServer(command, name="redis-node")


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[OwnedServer]]:
    """Three masters that have all slots, joined over their own bus: that is none of the client's business."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with contextlib.ExitStack() as stack:
        buses = [stack.enter_context(ReservedPort()) for _ in range(NODES)]
        started = [stack.enter_context(node_of(program, bus)) for bus in buses]
        for number, node in enumerate(started):
            first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES - 1
            ask(node, "CLUSTER ADDSLOTSRANGE", first, last)
            ask(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node, bus in zip(started[1:], buses[1:], strict=True):
            ask(started[0], "CLUSTER MEET", "127.0.0.1", node.port, bus.number)
        for node in started:
            node.wait_until(lambda node=node: knows_all(node), timeout=60)
        yield started


def ask(node: OwnedServer, *command: object) -> Any:
    with contextlib.closing(redis.Redis(port=node.port, decode_responses=True)) as client:
        return client.execute_command(*command)


def knows_all(node: OwnedServer) -> None:
    state = ask(node, "CLUSTER INFO")
    if state["cluster_state"] != "ok" or state["cluster_known_nodes"] != str(NODES):
        raise OSError(f"the cluster has not come together: {state}")


@pytest.fixture
def links(nodes: list[OwnedServer], netfault: NetFault) -> list[Link]:
    """A link for each node, and each node tells clients the port of its link instead of its own."""
    made = []
    for number, node in enumerate(nodes, start=1):
        link = netfault.forward(node.address, name=f"node{number}")
        ask(node, "CONFIG SET", "cluster-announce-port", link.port)
        made.append(link)
    for node in nodes:  # what a node says of the others it has heard on the bus
        node.wait_until(lambda node=node: announces(node, {link.port for link in made}), timeout=60)
    return made


def announces(node: OwnedServer, ports: set[int]) -> None:
    told = {int(master[1]) for _, _, master, *_ in ask(node, "CLUSTER SLOTS")}
    if told != ports:
        raise OSError(f"{node!r} tells {told} and not yet {ports}")


@pytest.fixture
def client(links: list[Link]) -> Iterator[RedisCluster]:
    """It is given one link, and finds the others by itself."""
    with contextlib.closing(
        RedisCluster(
            startup_nodes=[ClusterNode("127.0.0.1", links[0].port)],
            socket_timeout=1.0,
            retry=Retry(ConstantBackoff(0.05), 3),
        )
    ) as opened:
        yield opened


def key_of(client: RedisCluster, link: Link) -> str:
    """A key whose slot is on the node behind this link."""
    return next(key for key in map(str, range(1000)) if client.get_node_from_key(key).port == link.port)


def test_every_connection_goes_over_a_link(client: RedisCluster, links: list[Link]) -> None:
    for link in links:
        client.set(key_of(client, link), "1")
    assert all(link.connections for link in links)


def test_one_node_is_cut_off_and_the_others_serve_on(client: RedisCluster, links: list[Link]) -> None:
    keys = [key_of(client, link) for link in links]
    for key in keys:
        client.set(key, "before")
    with links[1].sever():
        with pytest.raises(redis.exceptions.RedisError):
            client.set(keys[1], "during")
    client.set(keys[1], "after")  # healed: the client finds it again
    assert [client.get(key) for key in keys] == [b"before", b"after", b"before"]
