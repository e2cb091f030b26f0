"""Nothing hangs a proof, and nothing makes it grow: calls that never return, and a client that floods."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault import Delivery, Event, verify
from pytest_netfault.cli import main
from pytest_netfault.faults import Reset, Sever
from pytest_netfault.proof import limits, recording
from pytest_netfault.schedules import (
    Break,
    Pause,
    Restart,
    Resume,
    Schedule,
    Subscribe,
    WaitForEvents,
    Write,
)

LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])


@pytest.fixture
def hang() -> Iterator[Callable[..., None]]:
    """A function that does not return before the test is over."""
    over = threading.Event()
    yield lambda *_: over.wait(120) and None
    over.set()


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Each of these took a minute or had no end; the bound is loose, for machines that are busy."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30


def truth(server: Any, **more: Any) -> Any:
    return SimpleNamespace(
        **{"address": server.address, "revision": server.revision, "log": server.log, **more}
    )


@pytest.mark.slow
def test_an_open_store_that_hangs_is_named(server: Any, hang: Any) -> None:
    with pytest.raises(TimeoutError, match=r"open_store\('127.*'\) did not return within 2 s, .*max_seconds"):
        verify.no_update_lost(hang, server, max_seconds=1)


def test_an_open_store_that_hangs_has_a_bound_without_max_seconds(
    server: Any, hang: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CALL_SECONDS", 0.5)
    with pytest.raises(TimeoutError, match=r"open_store\('127.*'\) did not return within 0\.5 s"):
        verify.replay(hang, server, LOSS)


@pytest.mark.slow
def test_what_was_proved_before_it_hung_is_kept_and_the_report_names_it(
    toy: Any, server: Any, hang: Any
) -> None:
    opened = 0

    def open_store(address: str) -> Any:
        nonlocal opened
        opened += 1
        if opened > 3:
            hang()
        return toy.RightStore(address)

    report = verify.no_update_lost(open_store, server, seed=1, max_seconds=8, faults=[Reset], lanes=1)
    assert report.examples == 2  # and the direct writer
    assert report.interrupted is not None
    assert "open_store(" in report.interrupted
    assert "open_store(" in str(report)
    assert report.inconclusive == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["revision", "log"])
def test_a_server_that_does_not_answer_is_named(toy: Any, server: Any, hang: Any, name: str) -> None:
    with pytest.raises(TimeoutError, match=rf"server\.{name}\(\) did not return within"):
        verify.no_update_lost(toy.RightStore, truth(server, **{name: hang}), max_seconds=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "step"), [("restart", Restart()), ("pause", Pause()), ("resume", Resume()), ("read", Write("a"))]
)
def test_a_server_that_hangs_in_a_step_is_named(
    toy: Any, server: Any, hang: Any, monkeypatch: pytest.MonkeyPatch, name: str, step: Any
) -> None:
    monkeypatch.setattr(limits, "CALL_SECONDS", 1.0)
    more = {"pause": lambda: None, "resume": lambda: None, name: hang}
    with_log = truth(server, **more)
    if name == "read":
        with_log = SimpleNamespace(address=server.address, read=hang)
    steps = [Pause(), step] if name == "resume" else [step]
    with pytest.raises(TimeoutError, match=rf"server\.{name}\(\) did not return within 1 s"):
        verify.replay(toy.RightStore, with_log, Schedule([Subscribe(), *steps]))


def hanging(toy: Any, hang: Any, method: str) -> Any:
    class Hangs(toy.RightStore):  # type: ignore[misc, name-defined]
        def __getattribute__(self, name: str) -> Any:
            if name == method or (name == "put_many" and method == "put"):
                return hang
            return super().__getattribute__(name)

    return Hangs


@pytest.mark.slow
@pytest.mark.parametrize("method", ["put", "subscribe"])
def test_a_client_that_hangs_in_a_call_hangs_nothing(toy: Any, server: Any, hang: Any, method: str) -> None:
    with pytest.raises(verify.ProvedNothing):
        verify.no_update_lost(hanging(toy, hang, method), server, seed=1, max_seconds=3)


@pytest.mark.slow
def test_a_client_that_hangs_in_decode_is_named(toy: Any, server: Any, hang: Any) -> None:
    with pytest.raises(TimeoutError, match=r"server\.log\(\) with the client's decode\(\) did not return"):
        verify.no_update_lost(hanging(toy, hang, "decode"), server, seed=1, max_seconds=1)


@pytest.mark.slow
def test_a_client_that_hangs_in_close_costs_no_more_than_max_seconds(
    toy: Any, server: Any, hang: Any
) -> None:
    report = verify.no_update_lost(
        hanging(toy, hang, "close"), server, seed=1, settle=20, max_seconds=4, max_examples=1, faults=[Reset]
    )
    assert report.not_closed == 0  # it was not given the 20 seconds that it has


@pytest.mark.slow
def test_a_play_that_hangs_while_it_is_made_small_does_not_hide_the_loss(
    toy: Any, server: Any, hang: Any
) -> None:
    class Deaf(toy.RightStore):  # type: ignore[misc, name-defined]
        opened = 0

        def __init__(self, address: str) -> None:
            Deaf.opened += 1
            if Deaf.opened > 4:
                hang()
            super().__init__(address)

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = revision + 1

    with pytest.raises(verify.UpdateLost):
        verify.no_update_lost(Deaf, server, seed=1, settle=0.3, max_seconds=6, faults=[Reset], lanes=1)


@pytest.mark.slow
def test_an_example_that_was_cut_short_counts_for_nothing(toy: Any, server: Any) -> None:
    report = verify.no_update_lost(
        toy.RightStore, server, seed=1, max_examples=10**6, max_seconds=3, faults=[Reset]
    )
    assert report.examples > 1
    assert report.inconclusive == 0


@pytest.fixture
def floods(toy: Any) -> Any:
    class Floods(toy.RightStore):  # type: ignore[misc, name-defined]
        """Delivers each change 100,000 times, as one object each: ever the same, or ever something new."""

        new = False

        def on_events(self, revision: int, changes: Any) -> None:
            super().on_events(revision, changes)
            for number in range(100_000):
                if self._closed.is_set():
                    return
                more = [(key, str(number) if self.new else value) for key, value in changes]
                self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in more)))

    return Floods


@pytest.mark.slow
@pytest.mark.parametrize(("new", "broken"), [(False, "unique"), (True, "phantom")])
def test_a_flood_takes_no_longer_than_it_may_and_is_cut_in_the_middle(
    floods: Any, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], new: bool, broken: str
) -> None:
    floods.new = new
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(
            floods, server, seed=1, max_seconds=6, report_dir=tmp_path, lanes=1, faults=[Reset]
        )
    lost = caught.value
    assert broken in lost.broken
    trace, *_, page = lost.files
    assert page.stat().st_size < 1_000_000
    assert "more deliveries" in page.read_text()
    assert "more deliveries" in str(lost)
    assert len(str(lost).splitlines()) <= 24
    assert main(["judge", str(trace)]) == 1
    judged = capsys.readouterr().out
    assert all(name in judged for name in lost.broken)


def test_a_client_that_floods_with_ever_new_things_proves_nothing(
    toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_MOST", 50)

    class Resyncs(toy.RightStore):  # type: ignore[misc, name-defined]
        """Alternates a snapshot and a bookmark, both of which are true."""

        def on_events(self, revision: int, changes: Any) -> None:
            super().on_events(revision, changes)
            for _ in range(100):
                self.hand(Delivery(bookmark=revision))
                self.hand(Delivery(events=()))

    with pytest.raises(verify.ProvedNothing, match="inconclusive"):
        verify.no_update_lost(Resyncs, server, seed=1, max_examples=2, faults=[Reset])
