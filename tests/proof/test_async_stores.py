"""Clients whose methods are coroutines: one loop, nothing left between schedules, and the same verdicts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import json
import logging
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_netfault import Delivery, Event, ProvedNothing, Resync, UpdateLost, WriteRejected, verify
from pytest_netfault.faults import Reset, Sever
from pytest_netfault.proof import async_stores
from pytest_netfault.proof.async_stores import AsyncClients

REQUEST_SECONDS = 0.4
IDLE_SECONDS = 0.4
RETRY_SECONDS = 0.02


class AsyncStore:
    """The right client of the toy store, in coroutines: a snapshot at R, then every change from R + 1."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._watching: asyncio.Task[None] | None = None
        self._closed = False
        self.next: int | None = 0

    async def put(self, key: str, value: str) -> None:
        await self.put_many({key: value})

    async def delete(self, key: str) -> None:
        await self.put_many({key: None})

    async def put_many(self, changes: Mapping[str, str | None]) -> None:
        reply = await self._request({"op": "put", "changes": dict(changes)})
        if "error" in reply:
            raise WriteRejected(reply["error"])

    async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        await self._snapshot(prefix, deliver)
        self._watching = asyncio.create_task(self.keep_watching(prefix, deliver))

    async def close(self) -> None:
        self._closed = True  # wait_for() of Python 3.11 and older may take a cancellation for itself
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _snapshot(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        reply = await self._request({"op": "get", "prefix": prefix})
        deliver(Delivery(resync=Resync(reply["rev"], reply["kvs"])))
        self.next = reply["rev"] + 1

    async def keep_watching(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        while not self._closed:
            try:
                await self._watch(prefix, deliver)
            except (OSError, ValueError, asyncio.TimeoutError):
                pass
            await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        opening = asyncio.open_connection(*self._address)
        reader, writer = await asyncio.wait_for(opening, REQUEST_SECONDS)
        try:
            self._send(writer, {"op": "watch", "prefix": prefix, "from": self.resume_at()})
            while not self._closed:
                line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS)
                if not line.endswith(b"\n"):
                    return
                message = json.loads(line)
                if "compacted" in message:
                    await self._snapshot(prefix, deliver)
                elif "events" in message:
                    revision = message["rev"]
                    events = tuple(Event(key, value, revision) for key, value in message["events"])
                    deliver(Delivery(events=events))
                    self.next = revision + 1
        finally:
            writer.transport.abort()

    def resume_at(self) -> int | None:
        return self.next

    async def _request(self, message: dict[str, Any]) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                self._send(writer, message)
                line = await reader.readline()
            finally:
                writer.transport.abort()
            if not line.endswith(b"\n"):
                raise ConnectionError("the server went away before it answered")
            reply: dict[str, Any] = json.loads(line)
            return reply

        return await asyncio.wait_for(ask(), REQUEST_SECONDS)

    @staticmethod
    def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")


class FromNow(AsyncStore):
    """Watches again without a revision."""

    def resume_at(self) -> int | None:
        return None


class LeavesATask(AsyncStore):
    async def close(self) -> None:
        """Forgets the task that watches."""


class Deaf(AsyncStore):
    """Its task does not end when it is cancelled, and nobody waits for it."""

    async def keep_watching(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    async def close(self) -> None:
        pass


class NeverCloses(AsyncStore):
    async def close(self) -> None:
        await asyncio.sleep(3600)


async def open_later(address: str) -> AsyncStore:
    await asyncio.sleep(0)
    return AsyncStore(address)


FAULTS = (Sever, Reset)


@pytest.mark.slow
@pytest.mark.parametrize("open_store", [AsyncStore, open_later, functools.partial(open_later)])
def test_a_right_asyncio_client_is_kept(server: Any, open_store: Any) -> None:
    report = verify.no_update_lost(open_store, server, faults=FAULTS, max_examples=6, seed=1)
    assert (report.examples, report.not_closed) == (6, 0)


@pytest.mark.slow
def test_an_asyncio_client_that_loses_updates_is_caught(server: Any) -> None:
    with pytest.raises(UpdateLost) as lost:
        verify.no_update_lost(FromNow, server, faults=FAULTS, seed=1, settle=1.0)
    assert {"reliable", "complete"} & set(lost.value.broken)


def test_one_loop_serves_the_whole_proof_and_ends_with_it(server: Any) -> None:
    loops = set()
    before = set(threading.enumerate())

    def open_store(address: str) -> AsyncStore:
        return Noting(address)

    class Noting(AsyncStore):
        async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
            loops.add((asyncio.get_running_loop(), threading.current_thread()))
            await super().subscribe(prefix, deliver)

    verify.no_update_lost(open_store, server, faults=FAULTS, max_examples=4, seed=1)
    ((loop, thread),) = loops
    assert loop.is_closed()
    assert not thread.is_alive()
    assert {one for one in set(threading.enumerate()) - before if "asyncio" in one.name} == set()


def test_a_task_that_is_left_behind_is_named_and_cancelled(server: Any) -> None:
    with pytest.warns(verify.StoreLeftTasks, match=r"AsyncStore\.keep_watching \(4 times\)"):
        verify.no_update_lost(LeavesATask, server, faults=FAULTS, max_examples=4, seed=1, lanes=1)


def test_a_task_that_ignores_its_cancellation_is_named_and_hangs_nothing(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_netfault.proof.async_stores._CANCEL_SECONDS", 0.05)
    clients = AsyncClients(Deaf, close_timeout=0.1)
    store = clients(server.address)
    store.subscribe("r1.", lambda _: None)
    store.close()
    assert clients.left_behind == {"Deaf.keep_watching (which ignores its cancellation)": 1}
    clients.close()


@pytest.mark.slow
def test_a_client_that_does_not_close_is_told_and_its_tasks_end(server: Any) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        verify.no_update_lost(NeverCloses, server, faults=[Sever], max_examples=1, seed=1, settle=0.5)
    kinds = {type(one.message) if isinstance(one.message, Warning) else None for one in told}
    assert kinds == {verify.StoreNotClosed, verify.StoreLeftTasks}


def test_what_a_clients_task_raises_is_logged_and_not_printed(
    server: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise OSError("connection lost")

    class Fails(AsyncStore):
        async def put(self, key: str, value: str) -> None:
            self.lost = asyncio.ensure_future(fail())
            await asyncio.wait({self.lost})
            del self.lost

    caplog.set_level(logging.DEBUG, "pytest_netfault")
    clients = AsyncClients(Fails, close_timeout=1.0)
    with clients:
        store = clients(server.address)
        store.put("r1.a", "1")
        store.close()
    assert capfd.readouterr() == ("", "")
    assert "in an asyncio client: Task exception was never retrieved" in caplog.text


def test_what_a_coroutine_raises_is_raised(server: Any) -> None:
    async def broken(address: str) -> AsyncStore:
        raise ZeroDivisionError(address)

    with pytest.raises(ZeroDivisionError, match=r"127\.0\.0\.1"):
        verify.no_update_lost(broken, server)  # type: ignore[arg-type]


def test_a_plain_client_needs_no_loop(server: Any, toy: Any) -> None:
    with AsyncClients(toy.RightStore, close_timeout=1.0) as clients:
        store = clients(server.address)
        assert type(store) is toy.RightStore
        store.close()
        assert clients._loop is None


def test_decode_and_rejections_are_those_of_the_client(server: Any) -> None:
    class Decodes(AsyncStore):
        def decode(self, key: bytes, value: bytes | None) -> tuple[str, str | None]:
            return key.decode().upper(), None if value is None else value.decode()

    Decodes.rejected = KeyError  # type: ignore[attr-defined]
    with AsyncClients(Decodes, close_timeout=1.0) as clients:
        store: Any = clients(server.address)
        assert store.decode(b"a", b"1") == ("A", "1")
        assert clients.rejected is KeyError
        store.put_many({"r1.a": "1", "r1.b": None})
        store.close()
        assert not hasattr(clients(server.address), "nothing")
    with AsyncClients(AsyncStore, close_timeout=1.0) as clients:
        assert not hasattr(clients(server.address), "decode")


@pytest.mark.slow
def test_nothing_that_was_proved_by_nobody_passes(server: Any) -> None:
    class Silent(AsyncStore):
        async def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
            raise ConnectionError("never")

    with pytest.raises(ProvedNothing):
        verify.no_update_lost(Silent, server, faults=[Sever], max_examples=2, seed=1, settle=0.2)


def test_a_call_that_is_cancelled_before_it_has_begun_is_not_the_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, tasks = async_stores._LoopThread(), async_stores._Tasks()
    asked, schedule = threading.Event(), asyncio.run_coroutine_threadsafe

    def schedule_and_say(coroutine: Any, on: asyncio.AbstractEventLoop) -> Any:
        future = schedule(coroutine, on)
        asked.set()
        return future

    def call() -> None:
        with contextlib.suppress(concurrent.futures.CancelledError):
            loop.call(tasks, asyncio.sleep, 60)

    async def cancel_before_it_begins() -> list[str]:
        caller = threading.Thread(target=call)
        caller.start()
        assert asked.wait(20)  # the loop stands still here: the call is a task after the next turn
        await asyncio.sleep(0)
        assert len(tasks.all) == 1
        left = await async_stores._cancel(tasks)
        await asyncio.to_thread(caller.join)
        return left

    with contextlib.closing(loop):
        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", schedule_and_say)
        waiting = schedule(cancel_before_it_begins(), loop._loop)
        assert waiting.result(20) == []
