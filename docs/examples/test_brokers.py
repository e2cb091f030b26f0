"""What clients of a message broker promise, and whether they keep it, with redis-py and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_netfault import (
    Blackhole,
    Break,
    Schedule,
    Sever,
    Subscribe,
    UpdateLost,
    WaitForEvents,
    Write,
    verify,
)

pytest.importorskip("redis", reason="the package redis is not installed")

if TYPE_CHECKING:
    import redis_stores

AWAY = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])


@pytest.fixture
def redis_keys(redis_address: str) -> Iterator[redis_stores.RedisKeys]:
    """Pub/sub keeps no log: what Redis holds in the end is all that there is to know."""
    from redis_stores import RedisKeys

    server = RedisKeys(redis_address)
    yield server
    server.close()


@pytest.fixture
def redis_stream(redis_address: str) -> Iterator[redis_stores.RedisStream]:
    """A stream is a log."""
    from redis_stores import RedisStream

    server = RedisStream(redis_address)
    yield server
    server.close()


def test_pub_sub_comes_back(redis_keys: redis_stores.RedisKeys) -> None:
    from broker_stores import PubSubStore

    report = verify.no_update_lost(
        PubSubStore, redis_keys, promise="comes-back", max_examples=8, settle=5, notice=20, seed=1
    )

    assert report.inconclusive == 0
    assert report.dead_flows >= 3


def test_pub_sub_promises_no_more(redis_keys: redis_stores.RedisKeys) -> None:
    from broker_stores import PubSubStore

    with pytest.raises(UpdateLost):
        verify.replay(PubSubStore, redis_keys, AWAY, settle=2)


def test_a_reader_that_dies_does_not_come_back(redis_keys: redis_stores.RedisKeys) -> None:
    from broker_stores import DyingStore

    with pytest.raises(UpdateLost, match="The subscriber did not come back after an outage"):
        verify.replay(DyingStore, redis_keys, AWAY, promise="comes-back", settle=2)


def test_a_group_delivers_at_least_once(redis_stream: redis_stores.RedisStream) -> None:
    from broker_stores import GroupStore

    verify.no_update_lost(
        GroupStore, redis_stream, promise="comes-back", max_examples=5, settle=4, notice=None, seed=1
    )


def test_a_group_does_not_deliver_once(redis_stream: redis_stores.RedisStream) -> None:
    """An entry is handed over, and its acknowledgement meets silence: it is delivered again."""
    from broker_stores import GroupStore

    silence = Blackhole("up", on_heal="reset")
    unacknowledged = Schedule(
        [Subscribe(), Write("a"), WaitForEvents(), Break(silence), Write("a"), WaitForEvents(2)]
    )

    def repeats() -> bool:
        try:
            verify.replay(GroupStore, redis_stream, unacknowledged, settle=4)
        except UpdateLost as lost:
            return "unique" in lost.broken
        return False  # the silence came just between two reads

    assert any(repeats() for _ in range(10))
    verify.replay(GroupStore, redis_stream, unacknowledged, promise="comes-back", settle=4)


def test_a_group_that_drops_what_it_had_delivers_once(redis_stream: redis_stores.RedisStream) -> None:
    from broker_stores import RememberingGroupStore

    verify.no_update_lost(RememberingGroupStore, redis_stream, max_examples=8, settle=4, notice=None, seed=1)
