"""Outages that hypothesis draws: one NetFault for each input.

A fixture of function scope is the same object for all inputs of ``@given``, so hypothesis refuses ``netfault`` here.
``netfault_factory`` has session scope and makes a fresh one for each input; that is cheap.
"""

from __future__ import annotations

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from runtime_config import ConfigStore, Key
from stores.runtime_config_store import open_store

from pytest_netfault import Blackhole, Break, Reset, Schedule, Sever, Subscribe, Write, verify
from pytest_netfault.schedules import schedules

LIMIT = Key("billing.limit", int, default=0)
OUTAGES = st.sampled_from([Sever(), Reset(), Blackhole(on_heal="reset"), Blackhole("down")])

# An outage takes as long as it takes, so there is no deadline; a suite that runs at every push tries a few inputs. To
# explain a failure, hypothesis would play hundreds of schedules more; the printed one says it all.
network = settings(deadline=None, max_examples=8, phases=set(Phase) - {Phase.explain})


@network
@given(outages=st.lists(OUTAGES, min_size=1, max_size=4))
def test_every_value_arrives_once_and_in_order(netfault_factory, etcd_server, outages):
    etcd_server.renew()  # an empty prefix for each input, and not only for each test
    with netfault_factory() as net:
        link = net.forward(etcd_server.address)
        with (
            ConfigStore(link.address, root=etcd_server.prefix) as reader,
            ConfigStore(etcd_server.address, root=etcd_server.prefix) as writer,
            reader.subscribe(LIMIT) as updates,
        ):
            updates.get(timeout=5)  # the snapshot
            for number, outage in enumerate(outages):
                reader.wait_synced(timeout=10)  # back from the last one: a reset needs a connection to meet
                with link.apply(outage):
                    writer.set(LIMIT, number)
                    reader.health(timeout=0.1)  # something for the outage to meet

            received = [updates.get(timeout=10).changes[0].new for _ in outages]
            assert received == list(range(len(outages)))


@network
@example(schedule=Schedule([Subscribe(), Break(Sever()), Write("a")]))  # as a failure printed it
@given(schedule=schedules(faults=[Sever, Reset], abilities=["compact", "many"]))
def test_no_schedule_loses_an_update(etcd_server, schedule):
    """The schedules of the proof kit, drawn and shrunk by hypothesis: its profiles and its database apply."""
    verify.replay(
        open_store, etcd_server, schedule
    )  # a draw whose fault met nothing is rejected, as by assume()
