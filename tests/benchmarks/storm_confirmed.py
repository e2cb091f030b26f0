"""What a storm has found in released suites, again in a few lines each: ``python tests/benchmarks/storm_confirmed.py``.

No storm and no pytest: a link, one reply that is cut or a flow that is forgotten, and what the client then says. It
needs the packages that it tries (``pip install walrus pg8000 redis ...``); those that are not there are left out.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))

import real_servers

from pytest_netfault import Frame, Link, NetFault

PATIENCE = 15.0


@contextlib.contextmanager
def reply_lost(link: Link, after: int = 0) -> Iterator[None]:
    """A reply on the newest connection ends in an RST after its first byte: the server has done its part.

    Args:
        link: to the server.
        after: how many bytes come down before that reply.
    """
    connection = link.connections[-1]
    where = connection.bytes_down + after + 1
    with link.cut(where, direction="down", connection=connection.number, how="rst"):
        yield


def within(action: Callable[[], object]) -> str:
    """What an action comes to, if it comes to anything in time."""
    said: list[str] = []

    def run() -> None:
        try:
            said.append(repr(action()))
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return said[0] if said else f"has not returned in {PATIENCE:g} s"


def walrus(link: Link) -> None:
    """redis-py sends a command again whose reply was lost; walrus builds on commands that may be done once only."""
    db = importlib.import_module("walrus").Database(host=link.host, port=link.port)
    db.flushdb()
    rows, ranks, array, counter = db.List("rows"), db.ZSet("ranks"), db.Array("array"), db.counter("counter")
    ranks.add({f"i{n}": n for n in range(12)})
    for _ in range(2):  # once so that all scripts are loaded
        array.append("a")
        lock = db.lock("lock")
        lock.acquire()
        lock.release()
    db.delete("array")

    def once(what: str, action: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
        with reply_lost(link):
            said = within(action)
        print(f"  {what}: {said}, and then {then()!r}")

    def left() -> list[bytes]:
        return list(rows)

    once("List.append(a)", lambda: rows.append("a"), left)
    once("List.extend(b, c)", lambda: rows.extend(["b", "c"]), left)
    once("List.insert(x before b)", lambda: rows.insert("x", "b", "before"), left)
    once("List.pop()", rows.pop, left)
    once("List.popleft()", rows.popleft, left)
    once("Array.append(a)", lambda: array.append("a"), lambda: list(array))
    once("Counter.incr() of 0", counter.incr)
    once("Counter.decr(5)", lambda: counter.decr(5))
    for name, arguments in (("popmin", (2,)), ("popmax", (2,)), ("bpopmin", ()), ("bpopmax", ())):
        before = [str(item) for item, _score in ranks]
        once(f"ZSet.{name}{arguments} of {before}", lambda: getattr(ranks, name)(*arguments))  # noqa: B023
    once("lpop of the event of a lock", lambda: db.lpop(lock.event))
    limit = db.rate_limit("rate", limit=2, per=60)
    with reply_lost(link, after=len(":0\r\n")):  # the length comes first
        limit.limit("k")
    print(f"  RateLimit(2).limit, for the second time: {limit.limit('k')}")
    lock.acquire()
    once("the end of `with lock`", lambda: lock.__exit__(None, None, None), lambda: db.get(lock.key))
    once(
        "Lock.acquire(block=False) of a free lock",
        lambda: lock.acquire(block=False),
        lambda: db.get(lock.key),
    )
    lock.clear()
    once("Lock.acquire() of a free lock", lock.acquire, lambda: db.get(lock.key))


def rq(link: Link) -> None:
    """redis-py sends a command again whose reply was lost; rq uses some that may be done only once."""
    jobs: Any = importlib.import_module("rq")
    redis: Any = importlib.import_module("redis")
    connection = redis.Redis(host=link.host, port=link.port)
    connection.flushdb()

    def queue_of(*ids: str) -> Any:
        queue = jobs.Queue(connection=connection)
        queue.empty()
        for one in ids:
            queue.push_job_id(one)
        return queue

    queue = queue_of()
    with reply_lost(link):
        queue.push_job_id("job")
    print(f"  push_job_id, once: {queue.job_ids}")
    queue = queue_of("job")
    with reply_lost(link):
        said = within(queue.pop_job_id)
    print(f"  pop_job_id of a queue with one job: {said}, and left is {queue.job_ids}")
    queue = queue_of()
    queue.enqueue(print)
    with reply_lost(link):
        said = within(lambda: jobs.Queue.dequeue_any([queue], timeout=None, connection=connection))
    print(f"  dequeue_any of a queue with one job: {said}, and left is {queue.job_ids}")
    queue = queue_of()
    queue.enqueue(print)
    with reply_lost(link):
        said = within(queue.compact)
    print(f"  compact of a queue with one job, at RENAME: {said}, and left is {queue.job_ids}")
    queue = queue_of()
    job = queue.enqueue(print)
    with reply_lost(link, after=len(f"+OK\r\n$36\r\n{job.id}\r\n:1\r\n")):
        queue.compact()
    print(f"  compact of a queue with one job, at RPUSH: {len(queue.job_ids)} jobs in the queue")


def kombu(link: Link) -> None:
    """A publication that is retried uses the channel that was closed with the connection."""
    messaging: Any = importlib.import_module("kombu")
    queue = messaging.Queue("queue", routing_key="queue")
    with messaging.Connection(f"redis://{link.address}") as connection, connection.channel() as channel:
        producer = messaging.Producer(channel)
        broken = Frame("resp", "MULTI", where="start")
        with link.cut(at=broken, direction="up", connection=2, how="rst"):
            said = within(lambda: producer.publish({}, retry=True, routing_key="queue", declare=[queue]))
    print(f"  publish(retry=True) whose connection is reset: {said}")


def pg8000(link: Link) -> None:
    """pg8000 waits for ever for a reply, unless it is given a timeout."""
    client: Any = importlib.import_module("pg8000.native")
    connection = client.Connection("postgres", host=link.host, port=link.port, database="postgres")
    link.forget()
    print(f"  a query on a connection that was forgotten: {within(lambda: connection.run('SELECT 1'))}")


def psycopg2(link: Link) -> None:
    """libpq has no timeout of its own; a COPY that breaks is no OperationalError."""
    client: Any = importlib.import_module("psycopg2")

    def connect() -> Any:
        return client.connect(host=link.host, port=link.port, user="postgres", dbname="postgres")

    connection = connect()
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE copied AS SELECT generate_series(1, 100000)")
    [carried] = link.connections
    with link.cut(carried.bytes_down + 1000, direction="down", how="rst"):
        said = within(lambda: cursor.copy_to(io.StringIO(), "copied"))
    print(f"  copy_to whose connection is reset: {said}")
    print(f"  is that an OperationalError? {issubclass(client.DatabaseError, client.OperationalError)}")
    with link.blackhole():
        print(f"  connecting to what does not answer: {within(connect)}")


SERVERS = {
    "walrus": real_servers.redis,
    "rq": real_servers.redis,
    "kombu": real_servers.redis,
    "pg8000": real_servers.postgres,
    "psycopg2": real_servers.postgres,
}


def main() -> None:
    """Try each client that is installed."""
    for name, server in SERVERS.items():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            print(f"{name}: not installed")
            continue
        print(f"{name}: {globals()[name].__doc__}")
        with server() as running, NetFault() as net:
            globals()[name](net.forward(running.address))


if __name__ == "__main__":
    main()
