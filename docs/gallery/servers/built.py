"""What is built or installed for one row: once, and kept beside the programs of docs/examples.

They are kept by their recipe, so that only the first run of a row builds. A build that has not ended in time, or whose
sources cannot be had here, is a reason to skip the row.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_netfault.servers import ServerNotFound

__all__ = ["build", "run"]


def build(name: str, recipe: str, make: Callable[[Path], None], *tools: str) -> Path:
    """The folder with what was built.

    Args:
        name: of the folder.
        recipe: all that decides what comes of it, such as versions and sources.
        make: builds into an empty folder.
        tools: programs that it needs.

    Raises:
        ServerNotFound: a tool is missing, or it cannot be built here.
    """
    for tool in tools:
        if shutil.which(tool) is None:
            raise ServerNotFound(f"{name} cannot be built: {tool} is not installed")
    cache = Path(os.environ.get("NETFAULT_BUILDS") or Path.home() / ".cache" / "pytest-netfault")
    cache.mkdir(parents=True, exist_ok=True)
    built = cache / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    with (cache / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not built.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                folder = Path(scratch) / "built"
                folder.mkdir()
                make(folder)
                folder.rename(built)
    return built


def run(folder: Path, *command: str, longest: float = 600, announce: str = "", **environment: str) -> str:
    """Run one step of a build in its folder; what it printed.

    Args:
        folder: where.
        command: its words.
        longest: how many seconds it may take.
        announce: what is being done, of a step that takes long: it is said on the terminal, and each minute again.
        environment: variables for it.

    Raises:
        ServerNotFound: it failed, or had not ended in time.
    """
    words = " ".join(command)
    with _said_each_minute(announce):
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=longest,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise ServerNotFound(f"{words} had not ended after {longest:.0f} s") from late
    if done.returncode != 0:
        raise ServerNotFound(f"{words} failed: {(done.stdout + done.stderr)[-1_000:]}")
    return done.stdout


@contextlib.contextmanager
def _said_each_minute(what: str) -> Iterator[None]:
    if not what:
        yield
        return
    ended = threading.Event()

    def say() -> None:
        sys.stderr.write(f"{what}\n")
        minutes = 1
        while not ended.wait(60):
            sys.stderr.write(f"{what}: {minutes} min so far\n")
            minutes += 1

    saying = threading.Thread(target=say, daemon=True)
    saying.start()
    try:
        yield
    finally:
        ended.set()
        saying.join()
