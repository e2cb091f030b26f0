"""A play that hangs is ended, and a machine that stands still is no hang."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pytest_netfault.storm import watchdog as module
from pytest_netfault.storm.remains import growth, remains
from pytest_netfault.storm.watchdog import Hang, Watchdog

HERE = Path(__file__)


def test_a_play_that_ends_is_left_alone() -> None:
    watchdog = Watchdog(30, lambda: pytest.fail("released"), HERE)
    with watchdog.watching():
        pass
    assert (watchdog.hung, watchdog.line) == ("", "")


def test_first_the_faults_go_and_that_may_be_enough() -> None:
    released = threading.Event()

    def waits() -> None:
        assert released.wait(30)

    watchdog = Watchdog(0.1, released.set, HERE)
    with watchdog.watching():
        waits()
    assert watchdog.hung.endswith("test_watchdog.waits")
    assert watchdog.line.startswith("test_watchdog.py:")


def test_then_the_test_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread can be interrupted")
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.05)
    watchdog = Watchdog(0.1, lambda: None, HERE)
    with pytest.raises(Hang, match="did not end"), watchdog.watching():
        threading.Event().wait(30)
    assert watchdog.hung


def test_a_machine_that_stands_still_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps by an hour with each beat: that counts as a tenth of a second, and is known as a pause."""
    jumps = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(module, "time", type("Clock", (), {"monotonic": lambda: float(next(jumps))}))
    watchdog = Watchdog(30, lambda: None, HERE)
    with watchdog.watching():
        time.sleep(0)
    assert not watchdog.hung
    assert watchdog.pause > 3000


def test_a_thread_that_stays_is_left_and_one_that_ends_is_not() -> None:
    before = remains()
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="stays")
    thread.start()
    try:
        assert "stays" in remains().beyond(before).threads
    finally:
        over.set()
    assert not growth(before).threads
