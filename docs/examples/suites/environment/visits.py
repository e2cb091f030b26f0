"""An application that reads where its Redis is when it is imported."""

import os

import redis

client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2)


def visit(page):
    return client.incr(f"visits:{page}")
