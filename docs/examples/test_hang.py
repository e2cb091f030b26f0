"""The outage that nobody is told of: nothing passes, and nothing is closed.

A cable, a firewall or a NAT that forgets a connection sends neither FIN nor RST. A client that only waits for an error
waits for ever. ``on_heal="reset"`` is how such hangs usually end: whatever was under way is gone.
"""

from __future__ import annotations

import queue

import pytest
from runtime_config import STALE, ConfigStore, DeadlineExceeded, Key

LIMIT = Key("billing.limit", int, default=100)


def test_an_update_written_during_a_hang_arrives(netfault, etcd_server):
    link = netfault.forward(etcd_server.address)
    with (
        ConfigStore(link.address, root=etcd_server.prefix) as reader,
        ConfigStore(etcd_server.address, root=etcd_server.prefix) as writer,
        reader.subscribe(LIMIT) as updates,
    ):
        updates.get(timeout=5)  # the snapshot

        with link.blackhole(on_heal="reset"):
            writer.set(LIMIT, 200)
            with pytest.raises(
                DeadlineExceeded
            ):  # a call comes back in time, with an error that says what it knows
                reader.get(LIMIT, timeout=0.3)

        assert updates.get(timeout=10).changes[0].new == 200


def test_a_hang_is_noticed_although_nothing_says_so(netfault, etcd_server):
    link = netfault.forward(etcd_server.address)
    with ConfigStore(link.address, root=etcd_server.prefix, dead_after=0.5) as store:
        store.wait_synced(timeout=5)
        states: queue.Queue = queue.Queue()
        store.on_state(states.put)

        with link.blackhole():
            while states.get(timeout=10) is not STALE:  # queue.Empty: it never noticed
                pass
            assert store.last_error is not None

        store.wait_synced(timeout=10)


def test_a_connection_that_is_never_accepted_does_not_hang_the_caller(netfault, etcd_server):
    link = netfault.forward(etcd_server.address)
    with link.stall_accept():
        with ConfigStore(link.address, root=etcd_server.prefix, wait=False) as store:
            health = store.health(timeout=0.5)  # asks, and comes back in time to say no
            assert not health.healthy
