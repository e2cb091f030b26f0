"""Directories that are removed soon after their owner has ended, even if it was killed.

A scratch directory holds a file ``owner.lock`` that its owner keeps locked. The kernel releases the lock when the
owner's last process ends, however it ends, so a directory whose lock can be taken has lost its owner: the next process
that makes a scratch directory removes it. The lock file gets its name only once it is locked, so that a directory that
is still being made is never taken for an abandoned one. A directory without such a file, of another user, or that is a
symbolic link is never touched.

The contents of a directory are removed before its lock file, so that the next removal finishes an interrupted one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["ScratchDirectory", "sweep"]

_PREFIX = "netfault-"
_LOCK = "owner.lock"


class ScratchDirectory:
    """A new empty directory below the system's one for temporary files; a context manager.

    Args:
        kind: one word that becomes part of its name.

    Attributes:
        path: where it is.
    """

    def __init__(self, kind: str) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
        self._owner = os.getpid()
        self._lock = -1
        try:
            unnamed = self.path / "lock.new"
            self._lock = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(self.path / _LOCK)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the directory and all that is in it. Idempotent; a forked child's call does nothing."""
        if self._owner == os.getpid():
            _remove(self.path)
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def __enter__(self) -> ScratchDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return self.path.name


def sweep() -> list[Path]:
    """Remove the scratch directories whose owner is dead; return the ones removed."""
    removed = []
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # not a scratch directory, or someone else was quicker
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its owner lives
        else:
            _remove(directory)
            removed.append(directory)
        finally:
            os.close(lock)
    return removed


def _remove(directory: Path) -> None:
    try:
        inside = sorted(directory.iterdir(), key=lambda path: path.name == _LOCK)
    except OSError:
        return
    for path in inside:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    try:
        directory.rmdir()
    except OSError:
        pass  # something was written into it meanwhile: then it stays, and a later sweep sees no lock of ours
