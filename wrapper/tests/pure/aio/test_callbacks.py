"""Callbacks on the loop: one at a time, in order, whatever they raise."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import CLOSED, STALE, SYNCED, Item
from runtime_config._monitor import Monitor
from runtime_config.aio import AsyncHandle, _callbacks
from runtime_config.aio._callbacks import Callbacks, States

OnLoop = Callable[[Callable[[], Any]], Any]


class Recorder:
    """Counts what `Callbacks` reports."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.ends: list[BaseException] = []
        self.callbacks = Callbacks()

    def call(self, source: Any, callback: Callable[[Any], Any]) -> Callable[[], None]:
        return self.callbacks.call(source, callback, self.errors.append, self.ends.append)


def test_coroutine_functions_are_awaited_one_after_another(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates, recorder = feed.subscribe(), Recorder()
        steps: list[tuple[str, int]] = []
        done = asyncio.Event()

        async def callback(item: Item) -> None:
            steps.append(("begin", item.revision))
            await asyncio.sleep(0)
            steps.append(("end", item.revision))
            if item.revision == 13:
                done.set()

        await updates
        recorder.call(updates, callback)
        for _ in range(3):
            feed.write("sub.limit", b"1")
        await done.wait()
        assert steps == [(what, revision) for revision in range(10, 14) for what in ("begin", "end")]
        updates.close()
        await recorder.callbacks.end(10.0)
        assert not recorder.ends

    on_loop(main)


def raises(error: BaseException) -> Callable[[Any], Any]:
    def callback(_: Any) -> None:
        raise error

    return callback


def awaits_and_raises(error: BaseException) -> Callable[[Any], Any]:
    async def callback(_: Any) -> None:
        await asyncio.sleep(0)
        raise error

    return callback


@pytest.mark.parametrize("kind", [raises, awaits_and_raises])
@pytest.mark.parametrize(
    "error",
    [ValueError("v"), pytest.fail.Exception("f"), StopAsyncIteration(), asyncio.TimeoutError()],
    ids=repr,
)
def test_whatever_it_raises_the_next_item_comes(
    feed: Any, on_loop: OnLoop, kind: Callable[..., Any], error: BaseException
) -> None:
    async def main() -> None:
        updates, recorder = await feed.subscribe(), Recorder()
        raising = kind(error)
        seen: list[int] = []
        done = asyncio.Event()

        def callback(item: Item) -> Any:
            seen.append(item.revision)
            if item.revision == 11:
                done.set()
            return raising(item)

        recorder.call(updates, callback)
        feed.write("sub.limit", b"1")
        await done.wait()
        updates.close()
        await recorder.callbacks.end(10.0)
        assert seen == [10, 11]
        assert len(recorder.errors) == 2
        assert not recorder.ends

    on_loop(main)


def test_a_cancellation_of_its_own_does_not_end_the_calls(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates, recorder = await feed.subscribe(), Recorder()
        seen: list[int] = []

        def callback(item: Item) -> None:
            seen.append(item.revision)
            raise asyncio.CancelledError

        recorder.call(updates, callback)
        feed.write("sub.limit", b"1")
        while len(seen) < 2:
            await asyncio.sleep(0)
        updates.close()
        await recorder.callbacks.end(10.0)
        assert not recorder.ends
        assert [type(error) for error in recorder.errors] == [asyncio.CancelledError] * 2

    on_loop(main)


@pytest.mark.parametrize("kind", [raises, awaits_and_raises])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_a_callback_ends_the_loop_as_anywhere_else(
    feed: Any, kind: Callable[..., Any], error: type[BaseException]
) -> None:
    recorder = Recorder()

    async def main() -> None:
        recorder.call(await feed.subscribe(), kind(error()))
        await asyncio.sleep(60)

    with pytest.raises(error):
        asyncio.run(main())
    assert [type(one) for one in recorder.ends] == [error]


def test_no_call_begins_after_cancel_also_within_a_callback(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates, recorder = await feed.subscribe(), Recorder()
        handle = AsyncHandle(updates.shut)
        seen: list[Item] = []

        async def callback(item: Item) -> None:
            seen.append(item)
            if item.revision == 11:
                await handle.cancel()

        recorder.call(updates, callback)
        for value in (b"1", b"many", b"2"):
            feed.write("sub.limit", value)
        await recorder.callbacks.end(10.0)
        assert [item.revision for item in seen] == [10, 11]
        with handle:  # twice is fine
            pass

    on_loop(main)


def test_the_end_waits_for_a_callback_and_then_cancels_it(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates, recorder = await feed.subscribe(), Recorder()
        entered, outcome = asyncio.Event(), []

        async def callback(_: Item) -> None:
            entered.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise

        recorder.call(updates, callback)
        await entered.wait()
        updates.close()
        await recorder.callbacks.end(0.01)
        assert outcome == ["cancelled"]
        assert not recorder.callbacks._tasks

    on_loop(main)


def test_the_end_within_a_callback_does_not_wait_for_itself(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates, recorder = await feed.subscribe(), Recorder()
        done = asyncio.Event()

        async def callback(_: Item) -> None:
            await asyncio.gather(recorder.callbacks.end(3600))  # in a task of its own, too
            done.set()

        recorder.call(updates, callback)
        await asyncio.wait_for(done.wait(), 30)
        updates.close()
        await recorder.callbacks.end(10.0)

    on_loop(main)


def test_states_come_in_order_and_end_after_closed(on_loop: OnLoop) -> None:
    async def main() -> None:
        monitor = Monitor()
        states = States(asyncio.get_running_loop(), monitor)

        def change() -> None:
            for state in (SYNCED, STALE, SYNCED, CLOSED):
                monitor.become(state)

        thread = threading.Thread(target=change)
        thread.start()
        assert [state async for state in states] == [SYNCED, STALE, SYNCED, CLOSED]
        thread.join()

    on_loop(main)


def test_a_loop_that_was_closed_forgets_its_callbacks(feed: Any) -> None:
    recorder, monitor = Recorder(), Monitor()

    async def main() -> Any:
        states = States(asyncio.get_running_loop(), monitor)
        states.on_dead = recorder.call(states, lambda _: None)
        updates = await feed.subscribe()
        updates.on_dead = recorder.call(updates, lambda _: None)
        await asyncio.sleep(0.01)
        return updates, states

    before = set(_callbacks._TASKS)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending" is what the user did
    kept = loop.run_until_complete(main())
    assert len(_callbacks._TASKS - before) == 2
    loop.close()
    monitor.become(SYNCED)
    feed.write("sub.limit", b"1")
    assert not _callbacks._TASKS - before
    del kept
