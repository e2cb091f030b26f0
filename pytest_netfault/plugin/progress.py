"""Shows where a long proof is while it runs: on a terminal one line that changes, elsewhere a plain line now and then.

A proof of a hundred schedules takes a minute, and a sweep many; pytest itself says nothing meanwhile.

Nothing is shown of a proof that is over in a moment. The output of tests is neither lost nor reordered, because
pytest's capture is suspended around each line and no longer. Nothing is printed with ``-q``, under pytest-xdist (a
worker has no terminal) or without a terminal reporter.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_netfault.report.pacing import Pacing

__all__ = ["Live"]


class Live:
    """Progress in one pytest session.

    Args:
        config: of the session.
        clock: seconds that rise; replaced in tests.
    """

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._pacing = Pacing(clock)
        self._shown = False

    def show(self, line: str) -> None:
        """A proof has made progress; the line is shown if one is due."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if terminal is None or self._config.get_verbosity() < 0:
            return
        changing = bool(terminal.isatty)
        if not self._pacing.due(rewritten=changing):
            return
        with self._uncaptured():
            if not self._shown:
                terminal.ensure_newline()
            self._shown = True
            if not changing:
                terminal.write_line(f"netfault: {line}")
            else:
                # One line, whatever the width: a line that wraps cannot be erased.
                width = max(shutil.get_terminal_size().columns - 1, 10)
                terminal.rewrite(f"netfault: {line}"[:width], erase=True)
            terminal.flush()

    def done(self, nodeid: str = "") -> None:
        """The proof is over: erase what a terminal shows. Idempotent.

        Args:
            nodeid: the test that continues; its file is named again, because its result follows.
        """
        shown, self._shown = self._shown, False
        self._pacing.over()
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if shown and terminal is not None:
            with self._uncaptured():
                if terminal.isatty:
                    terminal.rewrite("", erase=True)
                    terminal.write("\r")
                if nodeid and not self._config.get_verbosity():  # with -v pytest does so itself
                    terminal.write_fspath_result(nodeid, "")
                terminal.flush()

    @contextlib.contextmanager
    def _uncaptured(self) -> Iterator[None]:
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if capture is None:
            yield
            return
        with capture.global_and_fixture_disabled():
            yield
