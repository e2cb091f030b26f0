"""What all tests share: pytest's own means to test a plugin, turns at what a machine has only once, and ways to watch
processes end."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def engine_alone() -> Iterator[None]:
    """Use the Docker engine while no other worker does: whoever starts a container sweeps those of dead owners."""
    with (Path(tempfile.gettempdir()) / "netfault-tests-docker.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


class Script:
    """A Python program of ours in a process of its own, whose lines we read."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the program ended without saying what was awaited"
        return line.strip()

    def wait(self) -> int:
        return self.process.wait(timeout=30)


@pytest.fixture
def run_script(interruptible: Callable[[Sequence[str]], list[str]]) -> Iterator[Callable[..., Script]]:
    """Start a program from its text; ``sys.argv[1:]`` are the arguments."""
    started: list[subprocess.Popen[str]] = []

    def run(text: str, *arguments: object, env: dict[str, str] | None = None) -> Script:
        process = subprocess.Popen(
            interruptible([sys.executable, "-c", text, *map(str, arguments)]),
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


def _load(name: str) -> ModuleType:
    """A module of ``verify/mutants``; tests are not a package, so it is loaded by its path, and once."""
    known = f"netfault_mutants_{name}"
    if known not in sys.modules:
        path = Path(__file__).parent / "verify" / "mutants" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(known, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[known]


@pytest.fixture
def toy() -> ModuleType:
    """The store over TCP that the proof kit is proved on."""
    return _load("toy")


@pytest.fixture
def server(toy: Any) -> Iterator[Any]:
    with toy.ToyServer() as server:
        yield server
