"""Files appear whole or not at all, with the mode of any other new file; what cannot be written hides no loss."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import verify
from pytest_netfault.common.files import write_whole
from pytest_netfault.report.folder import write_folder
from pytest_netfault.schedules import Break, Heal, Schedule, Sever, Subscribe, WaitForEvents, Write

TESTS = Path(__file__).parents[1]
LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Heal(), Write("b")])
STORE = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from support.mutants import toy

class FromNow(toy.RightStore):
    began = False
    def resume_at(self):
        self.began, first = True, not self.began
        return self.next if first else None
    def on_events(self, revision, changes):
        self.next = 0
        super().on_events(revision, changes)
"""


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is like: a file cannot grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def toy() -> Iterator[dict[str, Any]]:
    names: dict[str, Any] = {}
    before = list(sys.path)
    exec(STORE, names)
    yield names
    sys.path[:] = before


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
def test_a_file_has_the_mode_that_the_umask_gives(mask: int, tmp_path: Path) -> None:
    with umask(mask):
        (tmp_path / "ordinary").write_text("x")
        write_whole(tmp_path / "ours", "x")
        write_whole(tmp_path / "ours", "y")  # one that is there is replaced
        write_folder(tmp_path, "folder", {"theirs": "x"})
    ordinary = mode(tmp_path / "ordinary")
    assert ordinary == 0o666 & ~mask
    assert mode(tmp_path / "ours") == mode(tmp_path / "folder" / "theirs") == ordinary
    assert (tmp_path / "ours").read_text() == "y"


@pytest.mark.parametrize("before", [None, "what was there"])
def test_what_cannot_be_written_leaves_nothing(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    if before is not None:
        path.write_text(before)
    with files_of_at_most(1_000), pytest.raises(OSError, match="File too large"):
        write_whole(path, "x" * 100_000)
    assert [one.name for one in tmp_path.iterdir()] == ([] if before is None else [path.name])
    if before is not None:
        assert path.read_text() == before


def test_a_text_that_cannot_be_made_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_whole(tmp_path / "x", b"bytes")  # type: ignore[arg-type]
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "folder", "x")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_a_folder_into_which_nothing_could_be_written_is_not_left(tmp_path: Path) -> None:
    with files_of_at_most(0), pytest.raises(OSError, match="File too large"):
        write_folder(tmp_path, "folder", {"a": "x", "b": "y"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_does_not_hide_that_an_update_was_lost(toy: Any, tmp_path: Path) -> None:
    with toy["toy"].ToyServer() as server:
        for limit in (0, 2_000):
            with files_of_at_most(limit), pytest.raises(verify.UpdateLost) as caught:
                verify.replay(
                    toy["FromNow"], server, LOSS, settle=0.4, seed=1, report_dir=tmp_path / f"reports{limit}"
                )
            assert "An update was lost" in str(caught.value)
            where, reason = f"{tmp_path}/reports{limit}", "OSError: [Errno 27] File too large"
            assert str(caught.value).endswith(f"\nNot all of it could be written to {where}: {reason}")
            assert caught.value.broken
            assert list((tmp_path / f"reports{limit}").glob(".*")) == []


def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_played(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with toy["toy"].ToyServer() as server:
        for place, words in (
            ("n" * 5_000, "cannot be used: its name is too long"),
            ("file/below", "cannot be used: .*/file is a file"),
            ("file", "must be a directory, and .* is not one"),
        ):
            with pytest.raises(ValueError, match=words):
                verify.replay(toy["FromNow"], server, LOSS, report_dir=tmp_path / place)


INNER = f"""
{STORE}
import os, resource
from pytest_netfault import Break, Heal, Schedule, WaitForEvents, Sever, Subscribe, Write, verify

def limit():
    size = int(os.environ["LIMIT"])
    if size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def test_lost():
    limit()
    schedule = {LOSS}
    with toy.ToyServer() as server:
        verify.replay(FromNow, server, schedule, settle=0.4, seed=1)

def test_fails(netfault):
    limit()
    with toy.ToyServer() as server:
        link = netfault.forward(server.address)
        with link.delay(0.01):
            pass
        raise TimeoutError("nothing came")
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 1, 2_500])
def test_the_files_of_a_session_have_one_mode_and_none_is_unfinished(limit: int, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(INNER))
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-p", "no:randomly"]
    with umask(0o027):
        done = subprocess.run(
            [*command, "--netfault-output=out", "--netfault-summary=summary.md", "test_it.py"],
            cwd=tmp_path,
            env={**os.environ, "LIMIT": str(limit), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1, done.stdout
    assert "2 failed" in done.stdout
    assert "An update was lost" in done.stdout
    assert "INTERNALERROR" not in done.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "test_it.py"]
    assert [path for path in files if path.name.startswith(".")] == []
    assert [path for path in files if not path.stat().st_size and path.name != "summary.md"] == []
    if limit:
        return
    assert {mode(path) for path in files} == {0o640}, {path.name: oct(mode(path)) for path in files}
    names = {
        path.name if path.name in ("events.json", "failure.txt", "summary.md") else path.suffix
        for path in files
    }
    assert names >= {"events.json", "failure.txt", "summary.md", ".json", ".py", ".html"}
    # The command of our own help, on our own output.
    reports = sorted(str(path) for path in (tmp_path / "out").glob("*/*.json"))
    assert any(path.endswith("events.json") for path in reports)
    for places in (reports, [str(tmp_path / "out")]):
        judged = subprocess.run(
            [sys.executable, "-m", "pytest_netfault", "judge", *places],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (judged.returncode, judged.stderr) == (1, "")
        assert "skipped: events of links" in judged.stdout
        assert "broken: " in judged.stdout
    trace = next(path for path in reports if "update-lost" in path)
    assert json.loads(Path(trace).read_text())["broken"]
