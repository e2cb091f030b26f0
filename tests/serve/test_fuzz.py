"""Any request is answered as promised, and nothing of it stays. ``tests/benchmarks/fuzz_serve.py`` sends a million."""

from __future__ import annotations

import pytest
from support.fuzzing import answers
from support.serving import Serving

pytestmark = pytest.mark.slow


def test_a_thousand_requests_are_answered() -> None:
    with Serving() as serving:
        seen = answers(serving.port, seed=1, count=1_000)
        serving.flush()
        assert serving.ask("GET", "/version").status == 200
        code, log = serving.end()
    assert {200, 201, 204, 400, 404, 405, 409} <= set(seen)
    assert code == 0
    assert "Traceback" not in log
    assert "ERROR" not in log  # which says that a request raised what nobody had thought of
