"""A suite of an application that reads `REDIS_URL` at import. It does not know that there is a link."""

import pytest

redis = pytest.importorskip("redis", reason="the package redis is not installed")

import visits  # noqa: E402


@pytest.fixture
def empty():
    try:
        visits.client.flushdb()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis answers; REDIS_URL says where it is: {error}")


@pytest.mark.usefixtures("empty")
def test_visits_are_counted():
    assert [visits.visit("home"), visits.visit("home")] == [1, 2]
