"""An asynchronous subscription without a server: the test plays the feed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from runtime_config import Section, Unavailable
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.records import Entry, RawChange
from runtime_config._feed.sink import Cover, Sink
from runtime_config.aio._runner import Runner
from runtime_config.aio.subscription import AsyncSubscription
from runtime_config.store import ConfigStore

LAYOUT = Layout("/r")


class Resources:
    def finally_call(self, end: Callable[[float], None]) -> None:
        self.end = end


class Feed:
    """What a store's subscriptions need of it. The listing of a start is `state`, at `revision`."""

    def __init__(self) -> None:
        self.revision = 10
        self.state: dict[str, tuple[bytes, int]] = {}
        self.sinks: list[AsyncSubscription] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.open_errors: list[Exception] = []
        self._resources = Resources()
        self.overflows = 0

    # The parts of a store

    @property
    def _following(self) -> Feed:
        return self

    def _open(self, seconds: float) -> None:
        if self.open_errors:
            raise self.open_errors.pop(0)

    def _limit(self, timeout: float | None) -> float:
        return 5.0 if timeout is None else timeout

    def start(self, sink: Sink, seconds: float) -> None:
        if not self.may_start.wait(60):
            raise Unavailable("the test has ended")
        sink.join([entry(name, value, at) for name, (value, at) in self.state.items()], self.revision)

    # The test's side

    def subscribe(self, **limits: int) -> AsyncSubscription:
        def overflow() -> None:
            self.overflows += 1

        made = AsyncSubscription(
            Cover.of([Section("sub")], LAYOUT),
            self.runner,
            5.0,
            on_close=lambda _: None,
            on_overflow=overflow,
            **limits,
        )
        self.sinks.append(made)
        made.begin()
        return made

    @property
    def runner(self) -> Runner:
        if not hasattr(self, "_runner"):
            self._runner = Runner(cast(ConfigStore, self))
        return self._runner

    def write(self, name: str, value: bytes | None) -> int:
        """One change, delivered to every subscription. Called by any thread."""
        self.revision += 1
        if value is None:
            self.state.pop(name, None)
        else:
            self.state[name] = (value, self.revision)
        for sink in self.sinks:
            sink.batch(self.revision, [(name, RawChange(LAYOUT.raw(name), value, self.revision))])
        return self.revision


def entry(name: str, value: bytes, revision: int) -> tuple[str, Entry]:
    return name, Entry(LAYOUT.raw(name), value, revision, revision, 1)


@pytest.fixture
def feed() -> Any:
    made = Feed()
    yield made
    made.may_start.set()
    made._resources.end(10.0)


@pytest.fixture(scope="session")
def make_feed() -> Any:
    """Make one for each example of a property; the test ends it."""
    return Feed


def run(main: Callable[[], Any]) -> Any:
    """Run a coroutine function on a loop of its own, with everything that asyncio can check."""
    return asyncio.run(main(), debug=True)


@pytest.fixture(scope="session")
def on_loop() -> Any:
    return run
