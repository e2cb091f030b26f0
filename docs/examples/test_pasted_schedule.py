"""A schedule that lost an update once, kept as a test of its own."""

from __future__ import annotations

from stores.runtime_config_store import open_store  # your client

from pytest_netfault import Break, Schedule, Sever, Subscribe, Write, verify


def test_what_was_written_while_the_link_was_severed_arrives(etcd_server):
    schedule = Schedule([Subscribe(), Break(Sever()), Write("a")])
    verify.replay(open_store, etcd_server, schedule)
