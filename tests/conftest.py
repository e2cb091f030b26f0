"""What all tests share: pytest's own means to test a plugin, turns at what a machine has only once, and ways to watch
processes end."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support.mutants import toy as toy_store
from support.processes import Script, owned

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def import_path_restored() -> Iterator[None]:
    """Commands that run in this process put the folder of a store file on the path: it is taken off again.

    A worker process of a later test gets this process's path, and would import a ``stores`` of another test.
    """
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def engine_alone() -> Iterator[None]:
    """Use the Docker engine while no other worker does: whoever starts a container sweeps those of dead owners."""
    with (Path(tempfile.gettempdir()) / "netfault-tests-docker.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


@pytest.fixture
def run_script() -> Iterator[Callable[..., Script]]:
    """Start a program from its text; ``sys.argv[1:]`` are the arguments."""
    started: list[subprocess.Popen[str]] = []

    def run(text: str, *arguments: object, env: dict[str, str] | None = None) -> Script:
        process = subprocess.Popen(
            owned([sys.executable, "-c", text, *map(str, arguments)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        started.append(process)
        return Script(process)

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def wait_for_end() -> Callable[[int], None]:
    """Wait until the process of a number has ended, told by the kernel; at once if there is none."""

    def wait(pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            ended, _, _ = select.select([handle], [], [], 30)
            assert ended, f"process {pid} is still there"
        finally:
            os.close(handle)

    return wait


@pytest.fixture
def toy() -> ModuleType:
    """The store over TCP that the proof kit is tested on, and the correct client of it."""
    return toy_store


@pytest.fixture
def server() -> Iterator[toy_store.ToyServer]:
    with toy_store.ToyServer() as server:
        yield server
