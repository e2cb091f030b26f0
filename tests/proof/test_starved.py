"""How long a thread of this process was kept waiting for a processor."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_netfault.proof.starved import Starved
from pytest_netfault.servers import OwnedProcess


def note(threads: Path, number: int, queued: int) -> None:
    (threads / str(number)).mkdir(exist_ok=True)
    (threads / str(number) / "schedstat").write_text(f"123456789 {queued} 17\n")


def test_the_thread_that_waited_longest_counts_and_each_moment_once(tmp_path: Path) -> None:
    note(tmp_path, 1, 4_000_000_000)
    note(tmp_path, 2, 500_000_000)
    starved = Starved(tmp_path)
    assert starved.take() == 0
    note(tmp_path, 1, 4_100_000_000)
    note(tmp_path, 2, 1_750_000_000)
    assert starved.take() == pytest.approx(1.25)
    assert starved.take() == 0
    note(tmp_path, 3, 250_000_000)  # it began meanwhile
    assert starved.take() == pytest.approx(0.25)


@pytest.mark.parametrize("text", [None, "", "1 2\xb2", "0"])
def test_where_nobody_counts_it_is_nothing(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "1").mkdir()
    if text is not None:
        (tmp_path / "1" / "schedstat").write_text(text, encoding="latin-1")
    assert Starved(tmp_path).take() == 0
    assert Starved(tmp_path / "none").take() == 0


@contextlib.contextmanager
def on_one_processor(folder: Path) -> Iterator[None]:
    """This thread, and a process that has nothing to do but to spin."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        with OwnedProcess([sys.executable, "-c", "while True: pass"], output=folder / "output"):
            yield
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count it")
def test_a_thread_that_competes_for_its_processor(tmp_path: Path) -> None:
    enough = threading.Event()

    def compete() -> None:
        with on_one_processor(tmp_path):
            starved = Starved()
            until = time.monotonic() + 30
            while time.monotonic() < until and not enough.is_set():
                if starved.take() > 0.005:
                    enough.set()

    competing = threading.Thread(target=compete)
    competing.start()
    competing.join()
    assert enough.is_set()
