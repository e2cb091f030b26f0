"""What the examples share. In a project of your own the stores would be your package, and this file would not be."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# `from stores.naive_etcd3 import open_store` in an example means the file in stores/ beside it.
sys.path.insert(0, str(Path(__file__).parent))

# The examples are meant to be copied, so they do not carry the marker that this repository's own test runs use.
SLOW = {
    "test_brokers.py",
    "test_budgets.py",
    "test_dead_flow.py",
    "test_languages.py",
    "test_other_store.py",
    "test_partition.py",
    "test_postgres.py",
    "test_proof.py",
    "test_property.py",
    "test_prove_asyncio.py",
    "test_redis.py",
    "test_redis_cluster.py",
    "test_stateful.py",
    "test_without_pytest.py",
    "test_workers.py",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The suites change their environment, so here they have a session of their own."""
    here = any(marker.startswith("slow:") for marker in config.getini("markers"))
    return True if here and collection_path == Path(__file__).parent / "suites" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any(marker.startswith("slow:") for marker in config.getini("markers")):
        return  # somewhere else, where `netfault examples` has written them
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name in SLOW:
            item.add_marker(pytest.mark.slow)


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"hello, world\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        pass  # that clients vanish in the middle of an answer is what the examples are about


@pytest.fixture(scope="session")
def hello_server() -> Iterator[tuple[str, int]]:
    """The address of a small HTTP server that says hello."""
    with _QuietServer(("127.0.0.1", 0), _Hello) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[:2]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    """The address of a Redis of ours."""
    import real_servers

    with real_servers.redis() as server:
        yield server.address


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """The address of a PostgreSQL of ours."""
    import real_servers

    with real_servers.postgres() as server:
        yield server.address


@pytest.fixture(scope="session")
def program() -> Callable[[str], list[str]]:
    """The command of a program in languages/, by its name; it is built if it was not (see programs.py)."""
    import programs

    def command(name: str) -> list[str]:
        try:
            return programs.command(name)
        except programs.CannotBuild as reason:
            pytest.skip(f"the program {name} cannot be built: {reason}")

    return command


@pytest.fixture(scope="session")
def nats_server() -> Iterator[object]:
    """A NATS server of ours, with the truth about its bucket of keys and values."""
    pytest.importorskip("nats", reason="the package nats-py is not installed")
    from nats_server import NatsServer

    with NatsServer() as server:
        yield server
