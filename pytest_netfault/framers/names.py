"""The protocols whose frames can be named, and the other names that people have for them."""

from __future__ import annotations

import re

__all__ = ["OWN", "PROTOCOLS", "protocol_named"]

PROTOCOLS: tuple[str, ...] = (
    "amqp",
    "http1",
    "http2",
    "mqtt",
    "nats",
    "postgres",
    "resp",
    "zookeeper",
)
_ALSO = {
    "amqp091": "amqp",
    "amqp10": "amqp",
    "etcd": "http2",
    "grpc": "http2",
    "h2": "http2",
    "http": "http1",
    "http10": "http1",
    "http11": "http1",
    "http20": "http2",
    "pg": "postgres",
    "postgresql": "postgres",
    "rabbitmq": "amqp",
    "redis": "resp",
    "resp2": "resp",
    "resp3": "resp",
    "valkey": "resp",
    "zk": "zookeeper",
}

# Those that somebody has registered, see registry.py.
OWN: set[str] = set()


def protocol_named(name: str) -> str | None:
    """The protocol that is meant by a name; None if its frames are not known here.

    >>> protocol_named("HTTP/2"), protocol_named("redis"), protocol_named("smtp")
    ('http2', 'resp', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return plain if plain in PROTOCOLS or plain in OWN else _ALSO.get(plain)
