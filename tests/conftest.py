"""What all tests share: pytest's own means to test a plugin, and turns at what a machine has only once."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def engine_alone() -> Iterator[None]:
    """Use the Docker engine while no other worker does: whoever starts a container sweeps those of dead owners."""
    with (Path(tempfile.gettempdir()) / "netfault-tests-docker.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
