"""What an asynchronous subscription delivers, without a server: the test plays the feed."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_config import (
    Changes,
    Closed,
    DeadlineExceeded,
    Item,
    Key,
    PermissionDenied,
    Resynced,
    Snapshot,
    Unavailable,
    Undecodable,
    Updated,
)

LIMIT = Key("sub.limit", int, default=100)

OnLoop = Callable[[Callable[[], Any]], Any]


def test_a_snapshot_comes_first_and_then_the_changes(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        feed.write("sub.limit", b"5")
        async with feed.subscribe() as updates:
            feed.write("sub.limit", b"6")
            first, second = await updates.get(30), await updates.get(30)
            assert isinstance(first, Snapshot)
            assert first.values == {LIMIT: 5}
            assert second == Changes(12, (Updated(LIMIT, 6, 5),))
            assert updates.revision == 12
            with pytest.raises(DeadlineExceeded):
                await updates.get(0)
            with pytest.raises(DeadlineExceeded):
                await updates.get(0.01)
        assert [item async for item in updates] == []
        with pytest.raises(Closed):
            await updates.get(30)

    on_loop(main)


def test_a_consumer_that_waits_is_woken_by_the_feeds_thread(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe()
        revisions = []
        async for item in updates:
            revisions.append(item.revision)
            if len(revisions) == 50:
                updates.close()
            else:
                await asyncio.get_running_loop().run_in_executor(None, feed.write, "sub.limit", b"1")
        assert revisions == list(range(10, 60))

    on_loop(main)


def test_closing_ends_an_iteration_that_waits(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe()

        async def follow() -> list[Item]:
            return [item async for item in updates]

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        thread = threading.Thread(target=updates.close)  # from any thread, as the end of the store is
        thread.start()
        assert len(await following) <= 1
        thread.join()
        await updates.close()

    on_loop(main)


def test_a_refusal_is_raised_once_after_what_was_there(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe()
        feed.write("sub.limit", b"1")
        updates.fail(PermissionDenied("no"))
        assert [(await updates.get(30)).revision for _ in range(2)] == [10, 11]
        with pytest.raises(PermissionDenied):
            await updates.get(30)
        assert [item async for item in updates] == []

    on_loop(main)


def test_a_slow_consumer_gets_what_was_kept_and_then_the_truth(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe(max_items=3)
        for number in range(11, 31):  # the loop is blocked meanwhile
            feed.write("sub.limit", b"%d" % number)
        assert [(await updates.get(0)).revision for _ in range(3)] == [10, 11, 12]
        item = await updates.get(0)
        assert isinstance(item, Resynced)
        assert (item.reason, item.after_revision, item.revision) == ("overflow", 12, 30)
        assert item.values == {LIMIT: 30}
        assert feed.overflows == 1
        feed.write("sub.limit", b"31")
        assert await updates.get(0) == Changes(31, (Updated(LIMIT, 31, 30),))

    on_loop(main)


def test_a_flood_leaves_the_loop_to_others(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe()
        for _ in range(200):
            feed.write("sub.limit", b"1")
        turns, taken = 0, 0

        async def other() -> None:
            nonlocal turns
            while taken < 201:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.create_task(other())
        async for _ in updates:
            taken += 1
            if taken == 201:
                break
        await others
        assert turns >= 200

    on_loop(main)


def test_each_item_goes_to_one_of_two_tasks(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe()
        seen: list[int] = []

        async def take() -> None:
            async for item in updates:
                seen.append(item.revision)
                if item.revision == 60:
                    updates.close()

        tasks = [asyncio.create_task(take()) for _ in range(2)]
        for _ in range(50):
            await asyncio.sleep(0)
            feed.write("sub.limit", b"1")
        await asyncio.gather(*tasks)
        assert seen == list(range(10, 61))

    on_loop(main)


def test_a_start_that_takes_long_is_waited_for_by_await_and_not_by_subscribe(
    feed: Any, on_loop: OnLoop
) -> None:
    async def main() -> None:
        feed.may_start.clear()
        updates = feed.subscribe()
        starting = asyncio.ensure_future(updates)
        with pytest.raises(DeadlineExceeded):
            await updates.get(0.01)
        assert not starting.done()
        feed.may_start.set()
        assert await starting is updates
        assert isinstance(await updates.get(30), Snapshot)

    on_loop(main)


def test_a_store_that_cannot_be_opened_says_so_once_and_is_tried_again(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        feed.open_errors += [Unavailable("one"), Unavailable("two")]
        updates = feed.subscribe()
        with pytest.raises(Unavailable, match="one"):
            await updates
        with pytest.raises(Unavailable, match="two"):
            await updates.get(30)
        assert isinstance(await updates.get(30), Snapshot)

    on_loop(main)


def test_cancelling_the_start_leaves_it_to_go_on(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        feed.may_start.clear()
        updates = feed.subscribe()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(updates, 0.01)
        feed.may_start.set()
        assert isinstance(await updates.get(30), Snapshot)

        feed.may_start.clear()
        entered = feed.subscribe()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(entered.__aenter__(), 0.01)
        with pytest.raises(Closed):  # nobody could leave the block
            await entered.get(0)
        feed.may_start.set()

    on_loop(main)


def test_it_is_collected_as_soon_as_nobody_refers_to_it(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe()
        await updates.get(30)
        feed.write("sub.limit", b"1")
        await updates.get(30)
        feed.sinks.clear()
        reference = weakref.ref(updates)
        gc.disable()
        try:
            del updates
            assert reference() is None
        finally:
            gc.enable()

    on_loop(main)


def test_a_loop_that_was_closed_under_it_closes_it(feed: Any) -> None:
    async def main() -> Any:
        updates = await feed.subscribe()
        await updates.get(30)
        return updates

    loop = asyncio.new_event_loop()
    updates = loop.run_until_complete(main())
    loop.close()
    feed.write("sub.limit", b"1")  # in the feed's thread: nothing is raised there
    feed.write("sub.limit", b"2")
    assert updates._ended
    assert not updates._buffer.waiting

    async def elsewhere() -> None:
        with pytest.raises(
            RuntimeError, match="another event loop, which is closed, and cannot be used on this one"
        ):
            await updates.get(0)

    asyncio.run(elsewhere())


def test_another_loop_is_refused_in_one_sentence(feed: Any) -> None:
    loop = asyncio.new_event_loop()
    try:
        updates = loop.run_until_complete(_first(feed))

        async def elsewhere() -> None:
            for use in (updates, updates.__aenter__(), updates.__anext__(), updates.get(0)):
                with pytest.raises(RuntimeError, match="belongs to another event loop and cannot be used"):
                    await use

        asyncio.run(elsewhere())
        assert isinstance(loop.run_until_complete(updates.get(30)), Snapshot)
    finally:
        loop.close()


async def _first(feed: Any) -> Any:
    return await feed.subscribe()


# -- cancellation -------------------------------------------------------------------------------------------


class CancelsItself:
    """Awaits something, and cancels the task when it is suspended for the n-th time, as `Task.cancel` does.

    `late` cancels when what it waits for has happened already, and the task has not run yet.
    """

    def __init__(self, awaited: Any, at: int, *, late: bool = False) -> None:
        self.awaited, self.at, self.late = awaited, at, late
        self.suspended = 0

    def __await__(self) -> Any:
        inner = self.awaited.__await__()
        while True:
            try:
                waits_for = inner.send(None)
            except StopIteration as stop:
                return stop.value
            self.suspended += 1
            if self.suspended == self.at:
                self._cancel(waits_for)
            try:
                yield waits_for
            except BaseException as error:
                inner = _Thrown(inner, error)

    def _cancel(self, waits_for: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.late and waits_for is not None:
            waits_for.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()


class _Thrown:
    """An iterator into which something is thrown first."""

    def __init__(self, inner: Any, error: BaseException) -> None:
        self.inner, self.error = inner, error

    def send(self, _: None) -> Any:
        if self.error is not None:
            error, self.error = self.error, None
            return self.inner.throw(error)
        return self.inner.send(None)


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when it has just come"])
def test_cancelled_at_any_await_nothing_is_lost_or_repeated(feed: Any, on_loop: OnLoop, late: bool) -> None:
    async def main() -> None:
        updates = feed.subscribe()
        taken: list[Item] = []

        async def take() -> None:
            async for item in updates:
                taken.append(item)
                if len(taken) % 3 == 0:
                    return

        for at in range(1, 40):
            for _ in range(at % 3):
                feed.write("sub.limit", b"%d" % at)
            later = asyncio.get_running_loop().call_later(0.001, feed.write, "sub.limit", b"1")
            task = asyncio.create_task(_wrapped(CancelsItself(take(), at % 5 + 1, late=late)))
            with suppress(asyncio.CancelledError, asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.02)
            later.cancel()
        while updates.revision < feed.revision:
            taken.append(await updates.get(30))
        assert [type(item) for item in taken] == [Snapshot] + [Changes] * (len(taken) - 1)
        assert [item.revision for item in taken] == list(range(taken[0].revision, feed.revision + 1))

    on_loop(main)


async def _wrapped(awaited: Any) -> Any:
    return await awaited


def test_a_wait_with_a_time_limit_of_asyncios_loses_nothing(feed: Any, on_loop: OnLoop) -> None:
    async def main() -> None:
        updates = await feed.subscribe(max_items=5000)
        writer = threading.Thread(target=lambda: [feed.write("sub.limit", b"1") for _ in range(300)])
        revisions: list[int] = []
        writer.start()
        while writer.is_alive() or updates.revision < feed.revision:
            with suppress(asyncio.TimeoutError):
                revisions.append((await asyncio.wait_for(updates.get(), 0.00005)).revision)
        assert revisions == list(range(10, 311))

    on_loop(main)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("write something bad"), st.integers(1, 2)),
        st.tuples(st.just("write in a thread"), st.integers(1, 3)),
        st.tuples(st.just("turn"), st.integers(1, 6)),
        st.tuples(st.just("cancel"), st.integers(0, 3)),
        st.tuples(st.just("cancel when it has just come"), st.integers(0, 1)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(steps, st.sampled_from([3, 1000]))
def test_cancelled_at_any_time_what_arrives_adds_up(
    make_feed: Callable[[], Any], plan: list[tuple[str, int]], max_items: int
) -> None:
    feed = make_feed()
    bad: set[int] = set()

    async def main() -> list[Item]:
        updates = await feed.subscribe(max_items=max_items)
        taken: list[Item] = []

        async def take() -> None:
            async for item in updates:
                taken.append(item)  # noqa: PERF401 - what was taken before a cancellation counts

        task = asyncio.create_task(take())
        for what, number in plan:
            if what == "turn":
                for _ in range(number):
                    await asyncio.sleep(0)
                continue
            if what.startswith("write"):
                for _ in range(number):
                    if what == "write in a thread":
                        thread = threading.Thread(target=feed.write, args=("sub.limit", b"7"))
                        thread.start()
                        thread.join()
                    else:
                        revision = feed.write("sub.limit", b"5" if what == "write" else b"many")
                        if what != "write":
                            bad.add(revision)
                continue
            if what.startswith("cancel when"):
                feed.write("sub.limit", b"6")
                await asyncio.sleep(0)  # the wake is on its way to the task
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            task = asyncio.create_task(take())
        feed.write("sub.limit", b"0")
        while updates.revision < feed.revision:
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert updates.poll() is None
        return taken

    try:
        taken = asyncio.run(main())
    finally:
        feed._resources.end(10.0)
    revisions = [item.revision for item in taken]
    good = [item.revision for item in taken if not isinstance(item, Undecodable)]
    undecodable = [item.revision for item in taken if isinstance(item, Undecodable)]
    assert isinstance(taken[0], Snapshot)
    assert revisions == sorted(revisions), "in order"
    assert good == sorted(set(good)), "nothing twice"
    assert undecodable == sorted(set(undecodable)), "nothing twice"
    assert bad.issuperset(undecodable)
    bridged = {
        revision
        for item in taken
        if isinstance(item, Resynced)
        for revision in range(item.after_revision + 1, item.revision + 1)
    }
    assert bridged | set(revisions) == set(range(10, feed.revision + 1)), "nothing lost"
    assert not bridged or max_items == 3
