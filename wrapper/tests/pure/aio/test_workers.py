"""Threads for calls that block: how many, how they end, and what giving up a call means."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from runtime_config import Closed, Unavailable
from runtime_config._etcd import giving_up
from runtime_config.aio._workers import Workers

OnLoop = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(most=3)
    yield made
    made.close(10.0)


def test_as_many_threads_as_there_are_calls_up_to_the_limit(workers: Workers) -> None:
    release, running = threading.Event(), threading.Semaphore(0)

    def call() -> int:
        running.release()
        release.wait(60)
        return threading.get_ident()

    calls = [workers.submit(call) for _ in range(10)]
    for _ in range(3):
        assert running.acquire(timeout=30)
    assert len(workers._threads) == 3
    assert sum(one.future.running() for one in calls) == 3
    release.set()
    assert len({one.future.result(30) for one in calls}) <= 3


def test_a_thread_is_used_again(workers: Workers) -> None:
    for _ in range(20):
        workers.submit(threading.get_ident).future.result(30)
    assert len(workers._threads) <= 2


def test_idle_threads_end_and_keep_nothing_alive() -> None:
    workers = Workers(most=3, idle_seconds=0.001)
    workers.submit(lambda: None).future.result(30)
    (thread, *_) = list(workers._threads) or [None]
    if thread is not None:
        thread.join(30)
    assert not workers._threads
    assert workers.submit(lambda: 5).future.result(30) == 5
    workers.close(10.0)


def test_what_is_given_up_before_its_turn_is_never_begun(workers: Workers) -> None:
    release = threading.Event()
    busy = [workers.submit(lambda: release.wait(60)) for _ in range(3)]
    begun: list[int] = []
    given_up = workers.submit(lambda: begun.append(1))
    given_up.give_up()
    release.set()
    for one in busy:
        one.future.result(30)
    workers.submit(lambda: None).future.result(30)
    assert not begun
    assert given_up.future.cancelled()


def test_what_is_given_up_under_way_sends_nothing_more(workers: Workers) -> None:
    waiting = threading.Event()
    sent: list[int] = []

    def call() -> None:
        sent.append(1)
        waiting.set()
        giving_up.pause(60)
        sent.append(2)

    made = workers.submit(call)
    assert waiting.wait(30)
    began = time.monotonic()
    made.give_up()
    assert isinstance(made.future.exception(30), giving_up.GivenUp)
    assert time.monotonic() - began < 30
    assert sent == [1]


def test_only_calls_that_can_be_given_up_are_asked() -> None:
    giving_up.check_wanted()
    giving_up.pause(0.0)


def test_a_call_sees_the_context_of_whoever_made_it(workers: Workers) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")
    user.set("ann")
    assert workers.submit(user.get).future.result(30) == "ann"


def test_closing_refuses_what_waits_and_what_comes(workers: Workers) -> None:
    release, running = threading.Event(), threading.Semaphore(0)

    def call() -> bool:
        running.release()
        return release.wait(60)

    busy = [workers.submit(call) for _ in range(3)]
    for _ in busy:
        assert running.acquire(timeout=30)
    waiting = workers.submit(lambda: None)
    workers.close(0.01)
    with pytest.raises(Closed):
        waiting.future.result(30)
    with pytest.raises(Closed):
        workers.submit(lambda: None)
    release.set()
    assert all(one.future.result(30) for one in busy)
    workers.close(30.0)
    assert not workers._threads


# -- as coroutines see it -----------------------------------------------------------------------------------


def test_a_call_without_a_turn_is_unavailable_in_time(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        release = threading.Event()
        runner = feed.runner
        runner._workers = Workers(most=1)
        feed._resources.end = runner._workers.close
        busy = asyncio.create_task(runner.run(lambda _: release.wait(60), 60.0))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="nothing was sent: so many calls were under way"):
            await runner.run(lambda _: None, 0.01)
        release.set()
        assert await busy
        assert await runner.run(lambda left: left, 60.0) <= 60.0

    on_loop(main)


def test_a_cancelled_coroutine_gives_its_call_up(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        under_way, outcome = threading.Event(), []

        def call(_: float) -> None:
            under_way.set()
            try:
                giving_up.pause(60)
            except giving_up.GivenUp:
                outcome.append("given up")
                raise

        task = asyncio.create_task(feed.runner.run(call, 60.0))
        await asyncio.get_running_loop().run_in_executor(None, under_way.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        feed.runner._workers.close(30.0)
        assert outcome == ["given up"]

    on_loop(main)


def test_a_loop_that_is_closed_meanwhile_disturbs_no_thread(
    feed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    release, under_way = threading.Event(), threading.Event()

    def call(_: float) -> None:
        under_way.set()
        release.wait(60)

    loop = asyncio.new_event_loop()
    task = loop.create_task(feed.runner.run(call, 60.0))
    loop.run_until_complete(asyncio.sleep(0))
    assert under_way.wait(30)
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    release.set()
    feed.runner._workers.close(30.0)
    assert capsys.readouterr().err == ""
