"""How long a thread of this process, or of one that it has started, was kept waiting for a processor."""

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

OURS = 7


def note(processes: Path, process: int, thread: int, queued: int | str) -> None:
    """A thread that stood in the queue for so many nanoseconds."""
    folder = processes / str(process) / "task" / str(thread)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedstat").write_text(f"123456789 {queued} 17\n", encoding="latin-1")


def note_parent(processes: Path, process: int, parent: int) -> None:
    (processes / str(process)).mkdir(parents=True, exist_ok=True)
    (processes / str(process) / "stat").write_text(f"{process} (a) b (1 2) S {parent} 0 0\n")


def test_the_thread_that_waited_longest_counts_and_each_moment_once(tmp_path: Path) -> None:
    note(tmp_path, OURS, 1, 4_000_000_000)
    note(tmp_path, OURS, 2, 500_000_000)
    starved = Starved(tmp_path, ours=OURS)
    assert starved.take() == 0
    note(tmp_path, OURS, 1, 4_100_000_000)
    note(tmp_path, OURS, 2, 1_750_000_000)
    assert starved.take() == pytest.approx(1.25)
    assert starved.take() == 0
    note(tmp_path, OURS, 3, 250_000_000)  # it began meanwhile
    assert starved.take() == pytest.approx(0.25)


@pytest.mark.parametrize(("parents", "counts"), [((8, OURS), True), ((OURS, 1), True), ((8, 1), False)])
def test_what_this_process_has_started_counts_and_nothing_else(
    tmp_path: Path, parents: tuple[int, int], counts: bool
) -> None:
    for process, parent in zip((9, 8), parents, strict=True):
        note_parent(tmp_path, process, parent)
    note_parent(tmp_path, OURS, 1)
    (tmp_path / "meminfo").touch()
    note(tmp_path, 9, 9, 0)
    starved = Starved(tmp_path, ours=OURS)
    starved.take()
    note(tmp_path, 9, 9, 3_000_000_000)
    assert starved.take() == pytest.approx(3.0 if counts else 0.0)


@pytest.mark.parametrize("queued", ["", "2\xb2", "-"])
def test_where_nobody_counts_it_is_nothing(tmp_path: Path, queued: str) -> None:
    note(tmp_path, OURS, 1, queued)
    (tmp_path / str(OURS) / "task" / "2").mkdir()
    for processes in (tmp_path, tmp_path / "none"):
        starved = Starved(processes, ours=OURS)
        assert (starved.take(), starved.take()) == (0, 0)


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
            starved.take()
            until = time.monotonic() + 30
            while time.monotonic() < until and not enough.is_set():
                if starved.take() > 0.005:
                    enough.set()

    competing = threading.Thread(target=compete)
    competing.start()
    competing.join()
    assert enough.is_set()
