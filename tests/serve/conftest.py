"""One server for a session of tests, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.serving import Serving, Upstream

pytest.importorskip("hypercorn", reason="the extra 'serve' is not installed")
pytest.importorskip("starlette", reason="the extra 'serve' is not installed")


@pytest.fixture(scope="session")
def _serving() -> Iterator[Serving]:
    with Serving("--seed=7", "--proxy-metrics", "--runtime-metrics") as serving:
        yield serving


@pytest.fixture
def serving(_serving: Serving) -> Serving:
    """A server without proxies."""
    _serving.flush()
    return _serving


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A server to forward to."""
    with Upstream() as upstream:
        yield upstream
