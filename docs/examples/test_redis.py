"""Which ways to follow changes in Redis lose updates, with redis-py and a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_netfault import Break, Cut, NetFault, Schedule, Sever, Subscribe, UpdateLost, Write, verify

pytest.importorskip("redis", reason="the package redis is not installed")

if TYPE_CHECKING:
    import redis_stores


@pytest.fixture
def redis_stream(redis_address: str) -> Iterator[redis_stores.RedisStream]:
    from redis_stores import RedisStream

    server = RedisStream(redis_address)
    yield server
    server.close()


@pytest.fixture
def redis_keys(redis_address: str) -> Iterator[redis_stores.RedisKeys]:
    from redis_stores import RedisKeys

    server = RedisKeys(redis_address)
    yield server
    server.close()


def test_pub_sub_loses_what_is_published_while_nobody_listens(redis_keys: redis_stores.RedisKeys) -> None:
    from redis_stores import PubSubStore

    # Pub/sub keeps no log. What the writers were told and what Redis holds in the end is all that there is to know.
    with pytest.raises(UpdateLost) as caught:
        verify.no_update_lost(PubSubStore, redis_keys, settle=2.0, max_seconds=60, seed=1)

    lost = caught.value
    assert lost.broken == ("complete",)
    assert len(lost.schedule) <= 6


def test_a_stream_that_is_read_on_from_the_last_id_loses_nothing(
    redis_stream: redis_stores.RedisStream,
) -> None:
    from redis_stores import StreamStore

    report = verify.no_update_lost(StreamStore, redis_stream, max_examples=10, settle=4.0, seed=1)

    assert report.inconclusive == 0


def test_default_retries_write_twice(redis_stream: redis_stores.RedisStream, netfault: NetFault) -> None:
    """The answer to a write is cut in its last byte: the store has the write, and redis-py sends it again."""
    from redis_stores import RetryingStreamStore, StreamStore

    link = netfault.forward(redis_stream.address)
    with contextlib.closing(StreamStore(link.address)) as store:
        store.put("r0000000000.a", "v0")  # to learn how long the answers are
        [connection] = link.connections
        last_byte = connection.bytes_down - 1
    cut = Cut(last_byte, direction="down", connection=2, how="rst")
    schedule = Schedule([Subscribe(), Break(cut), Write("a", via="link")])

    with pytest.raises(UpdateLost) as caught:
        verify.replay(RetryingStreamStore, redis_stream, schedule, settle=4.0)
    assert caught.value.broken == ("writes.duplicate",)

    # Without retries whoever wrote is told that the outcome is unknown, and the stream has it once.
    verify.replay(StreamStore, redis_stream, schedule, settle=4.0)


def test_the_latest_state_arrives_and_not_each_event(redis_stream: redis_stores.RedisStream) -> None:
    from redis_stores import LatestStore

    verify.no_update_lost(
        LatestStore, redis_stream, promise="latest-value", max_examples=10, settle=4.0, seed=1
    )

    overwritten = Schedule([Subscribe(), Break(Sever()), Write("a"), Write("a")])
    verify.replay(LatestStore, redis_stream, overwritten, promise="latest-value", settle=4.0)
    with pytest.raises(UpdateLost, match="An update was lost"):
        verify.replay(LatestStore, redis_stream, overwritten, settle=4.0)
