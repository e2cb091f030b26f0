from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.servers.scratch import ScratchDirectory, sweep


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_there_and_then_gone(temporary: Path) -> None:
    with ScratchDirectory("etcd") as scratch:
        assert scratch.path.parent == temporary
        assert repr(scratch) == scratch.path.name
        assert scratch.path.name.startswith("netfault-etcd-")
        (scratch.path / "data" / "deep").mkdir(parents=True)
        (scratch.path / "data" / "file").write_text("x")
        (scratch.path / "link").symlink_to(temporary)
    scratch.close()
    assert list(temporary.iterdir()) == []


def test_a_living_owner_s_is_left_alone() -> None:
    with ScratchDirectory("etcd") as first, ScratchDirectory("etcd") as second:
        assert sweep() == []
        assert first.path.exists()
        assert second.path.exists()


def test_a_dead_owner_s_is_removed(run_script: Callable[..., Any], temporary: Path) -> None:
    script = run_script(
        """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from pytest_netfault.servers.scratch import ScratchDirectory
made = ScratchDirectory("etcd")
(made.path / "data").mkdir()
print(made.path, flush=True)
sys.stdin.read()
""",
        temporary,
    )
    path = Path(script.line())
    assert sweep() == []
    os.kill(script.process.pid, signal.SIGKILL)
    script.wait()
    assert sweep() == [path]
    assert not path.exists()


def test_a_dead_owner_s_is_kept_while_a_fork_of_it_lives(
    run_script: Callable[..., Any], temporary: Path
) -> None:
    script = run_script(
        """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from pytest_netfault.servers.scratch import ScratchDirectory
made = ScratchDirectory("etcd")
if os.fork() == 0:
    made.close()  # not the child's to remove
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read(1)
os._exit(0)
""",
        temporary,
    )
    child = int(script.line())
    os.kill(script.process.pid, signal.SIGKILL)
    script.process.wait()
    assert sweep() == []
    handle = os.pidfd_open(child)
    os.kill(child, signal.SIGKILL)
    import select

    select.select([handle], [], [], 30)
    os.close(handle)
    assert len(sweep()) == 1


def test_what_is_not_ours_is_never_touched(temporary: Path) -> None:
    foreign = temporary / "netfault-etcd-foreign"
    foreign.mkdir()
    (foreign / "precious").write_text("x")
    (temporary / "netfault-etcd-file").write_text("x")
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "owner.lock").write_text("")
    (temporary / "netfault-etcd-link").symlink_to(elsewhere)
    (temporary / "other").mkdir()
    (temporary / "other" / "owner.lock").write_text("")
    linked_lock = temporary / "netfault-etcd-linked"
    linked_lock.mkdir()
    (linked_lock / "owner.lock").symlink_to(elsewhere / "owner.lock")
    assert sweep() == []
    assert (foreign / "precious").exists()
    assert (elsewhere / "owner.lock").exists()
    assert (temporary / "other" / "owner.lock").exists()
    assert linked_lock.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
def test_another_user_s_is_never_touched(temporary: Path) -> None:
    other = temporary / "netfault-etcd-other"
    other.mkdir()
    (other / "owner.lock").write_text("")
    os.chown(other, 12345, -1)
    assert sweep() == []
    os.chown(other, os.geteuid(), -1)
    assert sweep() == [other]


def test_a_removal_that_was_interrupted_is_finished(temporary: Path) -> None:
    half = temporary / "netfault-etcd-half"
    half.mkdir()
    (half / "owner.lock").write_text("")
    assert sweep() == [half]
    assert not half.exists()
