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

__all__ = ["Live"]

# The first line: what takes less needs no explanation.
_FIRST_SECONDS = 2.0
_TERMINAL_SECONDS = 0.2
# Of a job's log, where each line stays: enough to see that it is alive, and not to scroll.
_LOG_FIRST_SECONDS = 15.0
_LOG_SECONDS = 30.0


class Live:
    """Progress in one pytest session.

    Args:
        config: of the session.
        clock: seconds that rise; replaced in tests.
    """

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._began: float | None = None
        self._last = float("-inf")
        self._shown = False

    def show(self, line: str) -> None:
        """A proof has made progress; the line is shown if one is due."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if terminal is None or self._config.get_verbosity() < 0:
            return
        now = self._clock()
        if self._began is None:
            self._began = now
        changing = bool(terminal.isatty)
        first, pause = (_FIRST_SECONDS, _TERMINAL_SECONDS) if changing else (_LOG_FIRST_SECONDS, _LOG_SECONDS)
        if now - self._began < first or now - self._last < pause:
            return
        self._last = now
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
        shown, self._shown, self._began, self._last = self._shown, False, None, float("-inf")
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
