"""The in-memory server that the tests of the runner use."""

from __future__ import annotations

import pytest
from support.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> type[World]:
    """For tests that need a world for each example."""
    return World
