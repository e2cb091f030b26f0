"""A suite whose server is a container. It does not know that there is a link."""

import pytest

redis = pytest.importorskip("redis", reason="the package redis is not installed")


def test_a_queue_is_in_order(redis_address):
    with redis.Redis.from_url(f"redis://{redis_address}/0", socket_timeout=2) as client:
        client.rpush("queue", "first", "second")
        assert [client.lpop("queue"), client.lpop("queue")] == [b"first", b"second"]
