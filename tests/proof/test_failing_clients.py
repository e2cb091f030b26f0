"""A client outside this process that fails: its run proves nothing, also in the file, and is never a loss."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.cli.judge import judge
from pytest_netfault.faults import Sever
from pytest_netfault.proof.clients import ClientFailed, ExternalClient
from pytest_netfault.proof.contract import Run, Timeouts
from pytest_netfault.proof.files import document
from pytest_netfault.schedules import (
    Break,
    Schedule,
    Subscribe,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
)
from pytest_netfault.store import Delivery, Event

LOSS = Schedule(
    [Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Write("b", via="link")]
)
SENTENCE = "node store.js ended with exit code 3 before it was closed"
PATIENT = Timeouts(settle=600, patience=600, impatience=0.02, last_writes=(0.02,))


class Program(ExternalClient):
    """A client in memory as a program would hold it; it loses what is written in an outage."""

    def __init__(self, client: Any, fails_at: str | None) -> None:
        self._client = client
        self._fails_at = fails_at
        self._failure: str | None = None
        self.lines: list[tuple[float, str]] = []

    @property
    def failure(self) -> str | None:
        return self._failure

    @property
    def said(self) -> Sequence[tuple[float, str]]:
        return self.lines

    def _reach(self, moment: str) -> None:
        self.lines.append((time.monotonic(), f"{moment}\x1b"))
        if moment == self._fails_at:
            self._failure = SENTENCE
        if self._failure is not None:
            raise ClientFailed(SENTENCE)

    def put(self, key: str, value: str) -> None:
        self._reach("put")
        self._client.put(key, value)

    def delete(self, key: str) -> None:
        self._reach("delete")
        self._client.delete(key)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        self._reach("subscribe")
        self._client.subscribe(prefix, deliver)
        if self._fails_at == "delivery":
            deliver(Delivery(events=(Event(f"{prefix}a", "nobody wrote this", 99),)))
            self._failure = SENTENCE

    def close(self) -> None:
        self._client.close()


def programs(world: Any, *, link: str | None = None, direct: str | None = None) -> Any:
    """An ``open_store`` whose clients fail at a moment."""
    plain = world.opener("now")

    def open_store(address: str) -> Program:
        if (link if address == "link" else direct) == "open":
            raise ClientFailed(SENTENCE)
        return Program(plain(address), link if address == "link" else direct)

    return open_store


def judged(run: Run, folder: Path) -> tuple[int, str]:
    path = folder / "run.json"
    path.write_text(json.dumps(document(run, seed=1)), encoding="utf-8")
    out = io.StringIO()
    return judge([path], out=out), out.getvalue().replace(str(path), "FILE")


def test_the_same_client_that_does_not_fail_is_a_loss(world: Any, tmp_path: Path) -> None:
    run = world.play(LOSS, programs(world))
    assert run.broken == ("reliable",)
    assert run.client_failed is None
    assert judged(run, tmp_path)[0] == 1


@pytest.mark.parametrize("at", ["put", "subscribe", "delivery", "open"])
def test_a_client_that_failed_is_no_loss_whatever_it_delivered(world: Any, tmp_path: Path, at: str) -> None:
    run = world.play(LOSS, programs(world, link=at), timeouts=PATIENT)
    assert run.ended - run.began < 60  # not settle, nor patience: the run ends at once
    assert (run.broken, run.conclusive, run.client_failed) == ((), False, SENTENCE)
    assert judged(run, tmp_path) == (3, f"FILE: inconclusive: {SENTENCE}\n")


def test_a_direct_writer_that_failed_proves_nothing_either(world: Any, tmp_path: Path) -> None:
    run = world.play(LOSS, programs(world, direct="put"), timeouts=PATIENT)
    assert run.ended - run.began < 60
    assert [write.outcome for write in run.writes] == ["info"]
    assert (run.broken, run.conclusive, run.client_failed) == ((), False, SENTENCE)
    assert judged(run, tmp_path)[0] == 3


@pytest.mark.parametrize(
    "step", [WaitForEvents(2), WaitForConnection(), WaitForBytes(10**9, "up"), WaitForBytes(10**9, "down")]
)
def test_no_step_waits_for_a_client_that_has_failed(world: Any, step: Any) -> None:
    schedule = Schedule([Subscribe(), step, Write("a")])
    run = world.play(schedule, programs(world, link="delivery"), timeouts=PATIENT)
    assert run.ended - run.began < 60
    assert run.writes == ()  # no step is made after the failure


def test_what_it_says_is_on_the_timeline_in_printable_characters(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Write("a", via="link")]), programs(world))
    said = [remark.text for remark in run.remarks if remark.speaker == "the client"]
    assert said == ["subscribe\\x1b", "put\\x1b"]


def test_an_attribute_of_that_name_on_a_client_of_the_user_means_nothing(world: Any) -> None:
    """A client in this process that calls its last error ``failure`` is not excused by it."""
    opener = world.opener("now")

    def open_store(address: str) -> Any:
        client = opener(address)
        client.failure = "connection lost"
        return client

    assert world.play(LOSS, open_store).broken == ("reliable",)
