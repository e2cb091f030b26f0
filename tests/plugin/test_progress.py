"""Where a long proof is: a line that changes on a terminal, plain lines in a log, and otherwise silence."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.plugin.progress import Live

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]


class Terminal:
    """As much of pytest's reporter as is needed, and what it was told."""

    def __init__(self, isatty: bool) -> None:
        self.isatty = isatty
        self.told: list[str] = []

    def ensure_newline(self) -> None:
        self.told.append("newline")

    def write_line(self, line: str) -> None:
        self.told.append(f"line {line}")

    def rewrite(self, line: str, *, erase: bool) -> None:
        assert erase
        self.told.append(f"again {line}")

    def write(self, text: str) -> None:
        self.told.append(repr(text))

    def write_fspath_result(self, nodeid: str, result: str) -> None:
        self.told.append(f"file of {nodeid}{result}")

    def flush(self) -> None:
        pass


class Config:
    """A session with such a terminal, or none, whose capture is on."""

    def __init__(self, terminal: Terminal | None, verbosity: int = 0) -> None:
        self._plugins = {"terminalreporter": terminal, "capturemanager": self}
        self._verbosity = verbosity
        self.pluginmanager = self
        self.suspended = 0

    def getplugin(self, name: str) -> Any:
        return self._plugins[name]

    def get_verbosity(self) -> int:
        return self._verbosity

    @contextlib.contextmanager
    def global_and_fixture_disabled(self) -> Any:
        self.suspended += 1
        yield


def played(config: Config, times: list[float]) -> Live:
    live = Live(config, clock=iter(times).__next__)  # type: ignore[arg-type]
    for number, _ in enumerate(times):
        live.show(f"schedule {number}")
    return live


def test_on_a_terminal_one_line_changes_and_is_taken_back() -> None:
    terminal = Terminal(isatty=True)
    config = Config(terminal)
    live = played(config, [100.0, 101.9, 102.0, 102.1, 102.3])
    assert terminal.told == ["newline", "again netfault: schedule 2", "again netfault: schedule 4"]
    live.done("test_it.py::test_it")
    assert terminal.told[3:] == ["again ", repr("\r"), "file of test_it.py::test_it"]
    assert config.suspended == 3
    live.done()
    assert len(terminal.told) == 6


def test_in_a_log_there_is_a_plain_line_now_and_then() -> None:
    terminal = Terminal(isatty=False)
    live = played(Config(terminal), [0.0, 14.0, 15.0, 16.0, 44.0, 45.0])
    live.done()
    assert terminal.told == ["newline", "line netfault: schedule 2", "line netfault: schedule 5"]


def test_what_is_over_soon_and_who_wants_quiet_see_nothing() -> None:
    for terminal, verbosity in ((Terminal(isatty=True), 0), (Terminal(isatty=True), -1), (None, 0)):
        times = [0.0, 1.0] if verbosity == 0 else [0.0, 60.0]
        live = played(Config(terminal, verbosity), times)
        live.done()
        assert terminal is None or terminal.told == []


def test_the_next_proof_begins_anew() -> None:
    terminal = Terminal(isatty=True)
    live = Live(Config(terminal), clock=iter([0.0, 5.0, 6.0, 7.0, 8.0]).__next__)  # type: ignore[arg-type]
    live.show("one")
    live.show("two")
    live.done()
    terminal.told.clear()
    live.show("three")
    live.show("four")
    assert terminal.told == []
    live.show("five")
    assert terminal.told == ["newline", "again netfault: five"]


def test_a_long_line_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal(isatty=True)
    live = Live(Config(terminal), clock=iter([0.0, 5.0]).__next__)  # type: ignore[arg-type]
    live.show("x" * 100)
    live.show("x" * 100)
    assert len(terminal.told[-1]) == len("again ") + 29


# -- whole sessions: what is long is made short here, so that they need not last ---------------------------------

AT_ONCE = """
    from pytest_netfault.report import pacing as live
    live._FIRST_SECONDS = live._TERMINAL_SECONDS = live._LOG_FIRST_SECONDS = live._LOG_SECONDS = 0.0
"""
PROOFS = """
    from support.mutants import toy
    from pytest_netfault import Sever, verify

    def test_proof():
        print("captured all the same")
        with toy.ToyServer() as server:
            verify.no_update_lost(toy.RightStore, server, faults=[Sever], seed=3, max_examples=2)

    def test_nothing():
        pass
"""


@pytest.fixture
def proofs(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sessions.file(PROOFS)
    sessions.conftest(AT_ONCE)
    return sessions


@pytest.mark.parametrize("shown", ["", "-s"])
def test_a_log_shows_where_a_proof_is(proofs: Any, shown: str) -> None:
    result = proofs.run(*([shown] if shown else []))
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["netfault: schedule 1 of 2, * s left", "netfault: schedule 2 of 2, * s"])
    assert bool(shown) is ("captured all the same" in result.stdout.str())


@pytest.mark.parametrize("option", ["-q", "-n2"])
def test_quiet_sessions_and_workers_show_nothing(proofs: Any, option: str) -> None:
    result = proofs.run(option, plugins=["xdist"])
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("netfault: schedule*")


def test_a_terminal_shows_one_line_that_goes_away(proofs: Any) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "netfault", "--color=no"]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=proofs.pytester.path)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # that is how the end of a terminal reads
        while more := os.read(ours, 65536):
            said += more
    os.close(ours)
    assert process.wait(timeout=30) == 0
    text = said.decode()
    assert re.search(r"\rnetfault: schedule 2 of 2, \d+ s *\r *\r", text)
    assert "\nnetfault: schedule" not in text
    assert re.search(r"^test_it\.py \.\.", text, re.MULTILINE), "results follow the name of their file"
    assert "2 passed" in text
