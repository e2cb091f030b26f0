"""Whatever a callback raises is logged and counted, and the next call is made."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
from collections.abc import Callable
from typing import Any

import pytest
from runtime_config import CLOSED, Changes, ConfigStore, Key, Snapshot, State

LIMIT = Key("callbacks.limit", int, default=1)
ANY = [
    ValueError("x"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    concurrent.futures.CancelledError(),
    pytest.fail.Exception("failed"),
    pytest.skip.Exception("skipped"),
]
by_name = pytest.mark.parametrize("error", ANY, ids=lambda error: type(error).__name__)


@by_name
@pytest.mark.parametrize("way", ["on_change", "live"])
def test_changes_go_on(
    store: ConfigStore, error: BaseException, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(item: object) -> None:
        items.put(item)
        raise error

    handle = store.live(LIMIT).on_change(take) if way == "live" else store.on_change(LIMIT, take)
    assert isinstance(items.get(timeout=30), Snapshot)
    for value in (5, 6):
        store.set(LIMIT, value)
        item = items.get(timeout=30)
        assert isinstance(item, Changes)
        assert item.changes[0].new == value  # type: ignore[union-attr]
    store.close()
    assert store.counters.callback_errors == 3
    assert handle.error is None
    assert sum("the callback for" in record.getMessage() for record in caplog.records) == 3


@by_name
def test_states_go_on(
    open_store: Callable[..., ConfigStore], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(wait=False)
    states: queue.SimpleQueue[State] = queue.SimpleQueue()

    def take(state: State) -> None:
        states.put(state)
        raise error

    store.on_state(take)
    store.on_state(states.put)
    store.wait_synced(30)
    store.close()
    got = []
    while got[-2:] != [CLOSED, CLOSED]:
        got.append(states.get(timeout=30))
    assert store.counters.callback_errors == len(got) / 2
    assert "a state callback raised" in caplog.text


@by_name
def test_what_the_function_of_an_update_raises_comes_out(store: ConfigStore, error: BaseException) -> None:
    def fail(_: int) -> int:
        raise error

    before = store.set(LIMIT, 5)
    with pytest.raises(type(error)) as caught:
        store.update(LIMIT, fail)
    assert caught.value is error
    assert store.get(LIMIT) == before
    assert store.update(LIMIT, lambda old: old + 1).value == 6
