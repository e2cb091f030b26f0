"""A suite whose client is another process, which finds its server in its environment."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("redis", reason="the package redis is not installed")

SERVICE = """
import os, redis
with redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2) as client:
    client.set("stock", 3)
    print(client.decr("stock"))
"""


@pytest.fixture
def link(netfault, redis_address):
    return netfault.forward(redis_address)


@pytest.fixture
def environment(link):  # it was: redis_address, and its address
    return {**os.environ, "REDIS_URL": f"redis://{link.address}/0"}


def test_one_less_is_in_stock(environment):
    ran = subprocess.run(
        [sys.executable, "-c", SERVICE], env=environment, capture_output=True, text=True, timeout=30
    )
    assert (ran.returncode, ran.stdout) == (0, "2\n"), ran.stderr
