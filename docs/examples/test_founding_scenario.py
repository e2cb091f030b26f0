"""The bug that started this project: an update that is written during an outage never arrives.

Two clients share a real etcd. One reaches it over a link, the link is severed, the other one writes, the link is
healed. Everything is green again; was the update heard?
"""

from __future__ import annotations

import contextlib
import queue

from runtime_config import ConfigStore, Key
from stores.naive_etcd3 import NaiveStore

LIMIT = Key("billing.limit", int, default=100)


def test_the_wrapper_hears_an_update_written_during_an_outage(netfault, etcd_server):
    link = netfault.forward(etcd_server.address)
    with (
        ConfigStore(link.address, root=etcd_server.prefix) as reader,
        ConfigStore(etcd_server.address, root=etcd_server.prefix) as writer,
        reader.subscribe(LIMIT) as updates,
    ):
        assert updates.get(timeout=5).values[LIMIT] == 100  # first what is there: the default

        with link.sever():
            written = writer.set(
                LIMIT, 200
            )  # the other service can write, and nobody behind the link hears it

        changes = updates.get(timeout=10)  # healed: the reader connects again, and asks for what it missed
        assert changes.revision == written.revision
        assert [(change.key, change.new) for change in changes.changes] == [(LIMIT, 200)]


def test_the_naive_loop_never_hears_it(netfault, etcd_server):
    limit = etcd_server.prefix + "limit"
    heard: queue.Queue = queue.Queue()
    link = netfault.forward(etcd_server.address)
    with (
        contextlib.closing(NaiveStore(link.address)) as reader,
        contextlib.closing(NaiveStore(etcd_server.address)) as writer,
    ):
        reader.subscribe(limit, heard.put)
        writer.put(limit, "100")
        assert value_of(heard.get(timeout=5)) == "100"

        with link.sever():
            writer.put(limit, "200")

        # A watch hands over changes in order. So once the loop hears something later than 200, 200 is lost for good,
        # and nobody has to guess how long to wait for it.
        first = next_value(heard, write_later=lambda number: writer.put(limit, f"later {number}"))
        assert first.startswith("later")


def next_value(heard, write_later):
    """What the loop hears next, writing something later every 0.2 seconds until it hears at all."""
    for number in range(50):
        write_later(number)
        with contextlib.suppress(queue.Empty):
            return value_of(heard.get(timeout=0.2))
    raise AssertionError("the loop did not come back within 10 seconds")


def value_of(delivery):
    return delivery.events[0].value
