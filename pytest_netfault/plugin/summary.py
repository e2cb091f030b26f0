"""Appends a summary of a session to a file, if that was requested.

A plugin of its own, registered only then, and only where the session is reported: under pytest-xdist that is the
controller, which sees each test's report with the properties that the worker gave it. Other programs may write to the
same file, so it is appended to, once, in one piece; that it cannot be written is reported and fails nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_netfault.common.files import append_text
from pytest_netfault.common.printable import printable
from pytest_netfault.report.markdown import Row, session_summary
from pytest_netfault.report.terminal import Totals, rerun_command

__all__ = ["SessionSummary"]


class SessionSummary:
    """Collects the reports of the tests that used the network.

    Args:
        file: what is appended to; it and its directory are made if need be.
        config: of the session.
        seed: of the session.
        totals: what was done in all, asked for at the end.
    """

    def __init__(self, file: Path, config: pytest.Config, seed: int, totals: Callable[[], Totals]) -> None:
        self._file = file
        self._config = config
        self._seed = seed
        self._totals = totals
        self._failed: dict[str, str] = {}  # why, in a line
        self._rows: dict[str, Row] = {}
        self._trouble = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.setdefault(report.nodeid, _crash(report))
        properties = {name: value for name, value in report.user_properties if name.startswith("netfault.")}
        if report.when != "teardown" or not properties:
            return

        def value(name: str, otherwise: str = "") -> str:
            return str(properties.get(f"netfault.{name}", otherwise))

        self._rows[report.nodeid] = Row(
            nodeid=report.nodeid,
            failed=report.nodeid in self._failed,
            verdict=value("verdict"),
            reason=value("reason") or self._failed.get(report.nodeid, ""),
            skipped=value("skipped") if report.nodeid not in self._failed else "",
            schedule=value("schedule"),
            faults=value("faults", "0"),
            met=value("met", "0"),
            artifact=self._near(value("artifact")),
            command=rerun_command(report.nodeid, self._seed)
            + (" --netfault-storm" if value("storm") else ""),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        text = session_summary(self._seed, self._totals(), list(self._rows.values()))
        if not text:
            return
        try:
            append_text(self._file, text)
        except OSError as error:
            self._trouble = printable(f"netfault: the summary was not written: {error}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._trouble:
            terminalreporter.write_line(self._trouble)

    def _near(self, path: str) -> str:
        """A path for somebody who looks at the collected files, which are named from where pytest was started."""
        return os.path.relpath(path, self._config.invocation_params.dir) if path else ""


def _crash(report: pytest.TestReport) -> str:
    """What a test said when it failed, in a line; also of a report that comes from another process."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "") or report.longrepr or "")
    return text.strip().partition("\n")[0]
