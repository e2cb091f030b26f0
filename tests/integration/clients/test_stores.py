"""Clients of real servers: redis-py with hiredis, psycopg over libpq, and gRPC to etcd."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from pytest_netfault import Link


@pytest.mark.slow
def test_redis_py_with_hiredis(
    play: Callable[..., None], case: Any, redis_address: str, helpers: Any
) -> None:
    redis = pytest.importorskip("redis", reason="redis is not installed")
    pytest.importorskip("hiredis", reason="hiredis is not installed")
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        once = Retry(NoBackoff(), 0)  # a second try would hide what the first one met
        client = stack.enter_context(redis.Redis(link.host, link.port, retry=once))

        def exchange() -> None:
            client.set("blob", helpers.blob)
            helpers.check(client.get("blob"))

        return exchange

    play(redis_address, case, connect, (redis.RedisError, OSError), reconnects=True)


@pytest.mark.slow
def test_psycopg(play: Callable[..., None], case: Any, postgres_address: str, helpers: Any) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        where = f"host={link.host} port={link.port} user=postgres dbname=postgres sslmode=disable"
        connection = psycopg.connect(where, autocommit=True)
        stack.callback(connection.close)

        def exchange() -> None:
            row = connection.execute("SELECT %b::bytea", [helpers.blob], binary=True).fetchone()
            helpers.check(row[0])

        return exchange

    # Damaged text that libpq cannot decode is a UnicodeError.
    play(postgres_address, case, connect, (psycopg.Error, UnicodeError))


def field(number: int, value: bytes) -> bytes:
    """One field of bytes in the wire format of protocol buffers."""
    size, length = len(value), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


@pytest.mark.slow
def test_grpc_to_etcd(play: Callable[..., None], case: Any, etcd_server: Any, helpers: Any) -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        # Otherwise channels to one address share their connection, and the time to wait before the next one.
        alone = [("grpc.use_local_subchannel_pool", 1)]
        channel = stack.enter_context(grpc.insecure_channel(link.address, alone))
        put = channel.unary_unary("/etcdserverpb.KV/Put")
        read = channel.unary_unary("/etcdserverpb.KV/Range")

        def exchange() -> None:
            put(field(1, b"blob") + field(2, helpers.blob))
            helpers.check(helpers.blob in read(field(1, b"blob")), True)

        return exchange

    play(etcd_server.address, case, connect, (grpc.RpcError,), reconnects=True)
