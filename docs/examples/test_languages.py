"""Clients in Go, Node and Java: programs that the kit drives by lines of JSON, and what becomes of each."""

from __future__ import annotations

import pytest

from pytest_netfault import (
    Blackhole,
    Break,
    Cut,
    ProcessStore,
    Schedule,
    Sever,
    Subscribe,
    UpdateLost,
    WaitForEvents,
    Write,
    verify,
)

# Dead flows (`notice`) are left out to keep this suite short: a gate of your own leaves the default as it is.
SHORT = {"max_examples": 4, "notice": None, "seed": 1}


def test_a_go_client_of_etcd_loses_nothing(etcd_server, program):
    report = verify.no_update_lost(ProcessStore(program("go-etcd")), etcd_server, **SHORT)

    assert report.inconclusive == 0


def test_a_go_client_of_etcd_that_goes_on_from_now_is_caught(etcd_server, program):
    severed = Schedule([Subscribe(), Break(Sever()), Write("a")])

    with pytest.raises(UpdateLost, match="An update was lost"):
        verify.replay(ProcessStore([*program("go-etcd"), "-naive"]), etcd_server, severed)


def test_a_go_client_of_nats_loses_nothing(nats_server, program):
    # After a restart of the server it takes nats.go some 10 s to notice that its consumer is gone.
    report = verify.no_update_lost(ProcessStore(program("go-nats")), nats_server, settle=15.0, **SHORT)

    assert report.inconclusive == 0


def test_a_node_client_of_redis_loses_nothing(redis_address, program):
    from redis_stores import RedisStream

    report = verify.no_update_lost(ProcessStore(program("node-redis")), RedisStream(redis_address), **SHORT)

    assert report.inconclusive == 0


def test_the_defaults_of_a_node_client_write_twice(redis_address, program):
    from redis_stores import RedisStream

    # The write arrives, its answer does not, and the connection ends: ioredis sends the command again by default.
    unanswered = Schedule([Subscribe(), Break(Blackhole("down", on_heal="sever")), Write("a", via="link")])

    with pytest.raises(UpdateLost) as caught:
        verify.replay(
            ProcessStore([*program("node-redis"), "--defaults"]), RedisStream(redis_address), unanswered
        )
    assert caught.value.broken == ("writes.duplicate",)


def test_a_java_client_of_etcd_loses_nothing(etcd_server, program):
    report = verify.no_update_lost(
        ProcessStore(program("java-etcd")), etcd_server, max_examples=2, notice=None, seed=1
    )

    assert report.inconclusive == 0


# The connection is cut in the midst of what was missed, until the client has come back once and was cut again.
CUT_IN_RECOVERY = Schedule(
    [Subscribe(), Break(Cut(420, direction="down", how="rst")), *[Write("a")] * 20, *[WaitForEvents()] * 15]
)


def test_a_java_client_that_leaves_resuming_to_jetcd_is_caught(etcd_server, program):
    java, *rest = program("java-etcd")

    with pytest.raises(UpdateLost, match="An update was lost"):
        verify.replay(ProcessStore([java, "-Dresume=true", *rest]), etcd_server, CUT_IN_RECOVERY)

    verify.replay(ProcessStore([java, *rest]), etcd_server, CUT_IN_RECOVERY)
