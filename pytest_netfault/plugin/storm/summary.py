"""The end of a session with a storm: findings by their causes, what is new, known or gone, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_netfault.common.printable import printable
from pytest_netfault.common.wording import counted
from pytest_netfault.plugin.options import Settings
from pytest_netfault.plugin.storm.results import ATTRIBUTE, Result
from pytest_netfault.storm.baseline import Known, read_baseline, write_baseline
from pytest_netfault.storm.findings import Finding, group_lines, grouped

if TYPE_CHECKING:
    from pytest_netfault.plugin.storm.hooks import Storm

__all__ = ["StormSummary"]

_NAMED = 50  # tests that are left out; more of them are counted


class StormSummary:
    """Collects what became of the items; where the session is reported, which is not in the workers of pytest-xdist.

    Args:
        config: of the session.
        settings: of the session.
        storm: the plugin of this process.
    """

    def __init__(self, config: pytest.Config, settings: Settings, storm: Storm) -> None:
        self._config = config
        self._settings = settings
        self._storm = storm
        self._results: dict[str, Result] = {}
        self._left_out: dict[str, str] = {}
        self._gone: list[Known] = []
        self._notes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = getattr(report, ATTRIBUTE, None)
        if data is not None and report.when == "call":
            self._results[report.nodeid] = Result.from_json(data)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._left_out.update(getattr(node, "workeroutput", {}).get("netfault_storm", {}))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._left_out.update(self._storm.left_out())
        self._compare()
        met = any(result.plays for result in self._results.values())
        if not met and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            self._notes.append("no fault met any traffic: does the suite connect to the address of a link?")
            if self._settings.strict and not self._config.getoption("collectonly"):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _compare(self) -> None:
        """Say what is gone from the baseline, and write it if that was requested."""
        file = self._settings.storm_baseline
        if file is None:
            return
        findings = self._findings()
        played = {(one.test, one.place) for one in self._results.values() if one.plays and not one.reason}
        before = read_baseline(file)
        self._gone = before.gone(findings, played)
        if not self._settings.storm_update:
            return
        try:
            write_baseline(file, before.updated(findings, played))
            self._notes.append(f"{counted(len(grouped(findings)), 'cause')} written to {file}")
        except OSError as error:
            self._notes.append(f"the baseline was not written: {error}")

    def _findings(self) -> list[Finding]:
        return [one.finding for one in self._results.values() if one.finding is not None]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        options = self._storm.judge.repeating
        groups = grouped(self._findings())
        lines = [self._counts(len(groups))]
        for group in groups:
            lines += group_lines(group, options, self._near)
        lines += [
            f"gone from the baseline: {one.kind}: {one.cause} ({one.test}, {one.place})" for one in self._gone
        ]
        named = list(self._left_out.items())
        lines += [f"left out: {nodeid} ({reason})" for nodeid, reason in named[:_NAMED]]
        if len(named) > _NAMED:
            lines.append(f"left out: {len(named) - _NAMED} more")
        lines += self._notes
        terminalreporter.section("netfault storm")
        for line in lines:
            terminalreporter.write_line(printable(line))

    def _near(self, nodeid: str) -> str:
        return self._storm.judge.near(nodeid)

    def _counts(self, causes: int) -> str:
        results = list(self._results.values())
        known = sum(one.finding is not None and one.finding.known for one in results)
        plays = counted(sum(one.plays for one in results), "play")
        places = counted(sum(bool(one.plays) for one in results), "place")
        tests = counted(len({one.test for one in results if one.plays}), "test")
        words = [
            f"seed {self._settings.seed}",
            f"{plays} at {places} of {tests}",
            f"{counted(len(self._findings()), 'finding')} of {counted(causes, 'cause')}"
            + (f", {known} known" if known else ""),
        ]
        unknown = sum(bool(one.reason) for one in results)
        if unknown:
            words.append(f"nothing known at {counted(unknown, 'place')}")
        return ", ".join(words)
