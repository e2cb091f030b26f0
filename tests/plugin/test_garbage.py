"""What a client leaves for the garbage collector does not end the session while pytest reads the source of a failure.

CPython 3.11 cannot parse while a finalizer parses at another depth ("AST constructor recursion depth mismatch"), and a
finalizer does as soon as it logs a traceback: asyncio's tasks log theirs. Graphs of objects that a client has dropped
wait for the collector, which runs whenever it likes, so also while pytest parses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SUPPORT = Path(__file__).parents[1]

GARBAGE = """
import ast
import gc
import pytest
from support.mutants import toy
from pytest_netfault import Break, Schedule, WaitForEvents, Sever, Subscribe, Write, verify

class Dropped:
    # What has to be finalized, at a depth of its own. There is always more of it, until the test is over.
    more = True

    def __init__(self):
        self.me = self

    def __del__(self):
        self.log(20)

    def log(self, depth):
        if depth:
            return self.log(depth - 1)
        ast.parse("a + b")
        if Dropped.more:
            Dropped()

class FromNow(toy.RightStore):
    began = False

    def resume_at(self):
        self.began, first = True, not self.began
        return self.next if first else None

    def on_events(self, revision, changes):
        self.next = 0
        super().on_events(revision, changes)

    def close(self):
        super().close()
        Dropped()

class Right(toy.RightStore):
    def close(self):
        super().close()
        Dropped()

LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])

@pytest.fixture
def server():
    with toy.ToyServer() as server:
        yield server

@pytest.fixture(autouse=True)
def collector():
    yield
    Dropped.more = False

def soon():
    gc.set_threshold(20, 1, 1)
"""

TESTS = {
    "a loss": """
def test_it(server):
    try:
        verify.replay(FromNow, server, LOSS, settle=0.4)
    finally:
        soon()
""",
    "nothing proved": """
def test_it(server):
    try:
        verify.replay(Right, server, Schedule([Subscribe(), Write("a")]), settle=0.4)
    finally:
        soon()
""",
    "a link": """
def test_it(netfault, echo, talk):
    talk(netfault.forward(echo))
    Dropped()
    soon()
    assert 0
""",
}


@pytest.mark.parametrize("test", TESTS.values(), ids=TESTS)
def test_a_failure_is_reported_whatever_waits_to_be_finalized(
    sessions: Any, monkeypatch: pytest.MonkeyPatch, test: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    sessions.file(GARBAGE + test)
    result = sessions.run()
    assert not [line for line in result.outlines if "INTERNALERROR" in line or "SystemError" in line]
    result.assert_outcomes(failed=1)


def test_the_collector_of_the_session_is_as_it_was(sessions: Any) -> None:
    sessions.file(
        """
        import gc

        def test_fails(netfault):
            assert 0

        def test_it_still_runs():
            assert gc.isenabled()
            gc.disable()

        def test_fails_without(netfault):
            assert not gc.isenabled()
            assert 0

        def test_it_still_does_not_run():
            assert not gc.isenabled()
            gc.enable()
        """
    )
    sessions.run().assert_outcomes(failed=2, passed=2)
