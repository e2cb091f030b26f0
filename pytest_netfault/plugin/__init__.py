"""The pytest plugin: hooks, and the fixtures of :mod:`pytest_netfault.plugin.fixtures`.

pytest loads this file in every session, so it imports pytest and the standard library only, writes nothing and says
nothing until a test asks for one of the fixtures::

    netfault          links for one test; everything is healed and closed when it ends
    netfault_factory  NetFaults for the session, cheap enough for one in each input of a property-based test
    etcd_server       a real etcd for the session, with an empty prefix for each test
    etcd_cluster      three etcds that keep one store, and whose peer traffic goes through links

This file holds hooks only. What they do is in :mod:`pytest_netfault.plugin.session`, which is imported with the first
use; the options are in :mod:`pytest_netfault.plugin.options`. State lives in the stash of the config.
For servers of other kinds see :mod:`pytest_netfault.plugin.shared_servers`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_netfault.common.garbage import collector_paused
from pytest_netfault.common.printable import printable
from pytest_netfault.plugin import healing
from pytest_netfault.plugin.fixtures import FIXTURES, RUNNING, SESSION, SETTING_UP, SETTINGS, session_of
from pytest_netfault.plugin.fixtures import NetFaultFactory as NetFaultFactory
from pytest_netfault.plugin.fixtures import etcd_cluster as etcd_cluster
from pytest_netfault.plugin.fixtures import etcd_server as etcd_server
from pytest_netfault.plugin.fixtures import netfault as netfault
from pytest_netfault.plugin.fixtures import netfault_factory as netfault_factory
from pytest_netfault.plugin.fixtures import share_server as share_server
from pytest_netfault.plugin.frames import hide_our_frames
from pytest_netfault.plugin.options import add_options, read_settings
from pytest_netfault.proof import host

if TYPE_CHECKING:
    from pytest_netfault.plugin.storm.hooks import Storm
    from pytest_netfault.report.terminal import Totals
    from pytest_netfault.report.timeline_log import LogLine

_BLOCKED = (
    "pytest-socket blocks the sockets of the proxy as well: run with --allow-hosts=127.0.0.1 instead of "
    "--disable-socket, or mark the test with @pytest.mark.enable_socket"
)


_WORKERS: pytest.StashKey[_Workers] = pytest.StashKey()
_HOST: pytest.StashKey[_Host] = pytest.StashKey()
_STORM: pytest.StashKey[Storm] = pytest.StashKey()


class _Workers:
    """What is known of the workers of pytest-xdist.

    Attributes:
        totals: what each has counted.
        crashed: those that have ended without saying what they have counted.
    """

    def __init__(self) -> None:
        self.totals: list[dict[str, int]] = []
        self.crashed: list[str] = []


# -- options -------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_netfault.plugin import hookspecs as hooks

    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Under a storm, the frames of all links are named, also of those that a conftest opens when it is imported."""
    given = getattr(early_config.known_args_namespace, "netfault_storm", None)
    if given or early_config.getini("netfault_storm"):
        from pytest_netfault.control.registry import name_frames

        name_frames(True)


def pytest_configure(config: pytest.Config) -> None:
    settings = config.stash[SETTINGS] = read_settings(config)
    config.stash[SETTING_UP] = []
    session_of_proofs = config.stash[_HOST] = _Host(config)
    host.enter(session_of_proofs)
    if settings.summary is not None and not hasattr(config, "workerinput"):
        from pytest_netfault.plugin.summary import SessionSummary

        summary = SessionSummary(settings.summary, config, settings.seed, lambda: _totals(config))
        config.pluginmanager.register(summary, "netfault-summary")
    config.addinivalue_line(
        "markers",
        "netfault_storm(allow=(), places=20, seconds=30): under --netfault-storm, the errors that the test may raise, "
        "at how many places it is played, and how long it may always take",
    )
    if settings.storm:
        from pytest_netfault.plugin.storm import begin

        config.stash[_STORM] = begin(config, settings)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist starts a worker: all make the same random choices."""
    settings = node.config.stash[SETTINGS]
    output = str(settings.output) if settings.output is not None else ""
    node.workerinput["netfault"] = {"seed": settings.seed, "output": output}
    if settings.storm:
        from pytest_netfault.plugin.storm import shared_folder

        node.workerinput["netfault"]["learned"] = str(shared_folder(node.config))


class _Host:
    """This session, as proofs see it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @property
    def seed(self) -> int:
        return self._config.stash[SETTINGS].seed

    @property
    def test(self) -> str:
        running = self._config.stash.get(RUNNING, None)
        return "" if running is None else str(running[0].nodeid)

    @property
    def strict(self) -> bool:
        return self._config.stash[SETTINGS].strict

    def logged(self) -> Sequence[LogLine]:
        mine = self._config.stash.get(SESSION, None)
        return () if mine is None else mine.logs.lines

    def flag(self, option: str) -> str:
        return f"--netfault-{option}"

    def folder(self) -> Path | None:
        if self._config.stash[SETTINGS].output is None:
            return None
        return session_of(self._config).folder()

    def progressed(self, line: str) -> None:
        session_of(self._config).live.show(line)

    def judged(self, verdict: host.ProofVerdict) -> None:
        session_of(self._config).judged(verdict)


# -- the course of a test ------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    began = time.monotonic()
    item.config.stash[RUNNING] = (item, began)
    session = item.config.stash.get(SESSION, None)
    if session is not None:
        session.begin(item, began)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """A fixture of a wider scope makes what is meant to outlive the test."""
    __tracebackhide__ = True
    setting_up = request.config.stash[SETTING_UP]
    setting_up.append(request.scope)
    try:
        return (yield)
    finally:
        setting_up.pop()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Around everything that other plugins do in the call phase."""
    __tracebackhide__ = True

    def heal() -> None:
        _heal(item)

    try:
        with healing.when_the_function_ends(item, heal):
            result = yield
    finally:
        heal()
    session = item.config.stash.get(SESSION, None)
    if session is not None:
        session.returned()
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Right around the test's function, so that no other plugin tears anything down before."""
    __tracebackhide__ = True
    try:
        return (yield)
    finally:
        _heal(pyfuncitem)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """pytest-timeout has set its alarm: what it interrupts must not hang in our faults on its way out."""
    result = yield
    if settings.method == "signal":
        healing.at_the_alarm(lambda: _heal(item, timed_out=True))
    return result


def _heal(item: pytest.Item, *, timed_out: bool = False) -> None:
    storm = item.config.stash.get(_STORM, None)
    if storm is not None:
        storm.heal()
    session = item.config.stash.get(SESSION, None)
    if session is not None:
        session.heal(item, timed_out=timed_out)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    __tracebackhide__ = True
    failed = True
    _heal(item)  # after a set-up that failed there was no call
    try:
        result = yield
        failed = False
    finally:
        session = item.config.stash.get(SESSION, None)
        if session is not None:
            session.end(item, failed)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    session = item.config.stash.get(SESSION, None)
    if call.excinfo is None:
        report = yield
    else:
        hide_our_frames()
        with contextlib.nullcontext() if session is None else collector_paused():
            report = yield
    storm = item.config.stash.get(_STORM, None)
    if session is not None and not (storm is not None and storm.playing):
        session.reported(item, report, call.excinfo)
    blocked = call.excinfo is not None and call.excinfo.typename == "SocketBlockedError"
    if blocked and not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        report.sections.append(("netfault", _BLOCKED))
    return report


# -- the course of a session ---------------------------------------------------------------------------------


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Only what was asked for is shown."""
    given = config.stash[SETTINGS].given
    return [printable(f"netfault: {', '.join(given)}")] if given else []


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Below the header, once it is known whether any test uses the plugin."""
    settings = config.stash[SETTINGS]
    quiet = config.get_verbosity() < 0 or config.getoption("collectonly")
    if quiet or any(given.startswith("seed=") for given in settings.given):
        return []
    used = any(not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) for item in items)
    return [f"netfault: seed {settings.seed} (--netfault-seed={settings.seed} repeats it)"] if used else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the fixtures are gone; a net for what a broken teardown left."""
    config = session.config
    mine = config.stash.get(SESSION, None)
    try:
        if mine is not None:
            mine.close()
    finally:
        _write_index(config)
    if mine is None:
        return
    if hasattr(config, "workeroutput"):
        config.workeroutput["netfault"] = mine.totals.to_json()


def _write_index(config: pytest.Config) -> None:
    """Where folders were written, one page that lists them; under pytest-xdist the controller does."""
    settings = config.stash[SETTINGS]
    used = SESSION in config.stash or _WORKERS in config.stash
    if settings.output is None or settings.artifacts == "off" or hasattr(config, "workerinput") or not used:
        return
    from pytest_netfault.report.index import write_index

    # Its folders are there, and a full disk has been reported with each of them.
    with contextlib.suppress(OSError):
        if settings.output.is_dir():
            write_index(settings.output)


def pytest_unconfigure(config: pytest.Config) -> None:
    session_of_proofs = config.stash.get(_HOST, None)
    if session_of_proofs is not None:
        host.leave(session_of_proofs)
    mine = config.stash.get(SESSION, None)
    if mine is not None:
        mine.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended, perhaps by a crash."""
    workers = node.config.stash.setdefault(_WORKERS, _Workers())
    output: dict[str, Any] | None = getattr(node, "workeroutput", None)
    if output is None:
        workers.crashed.append(node.gateway.id)
    elif "netfault" in output:
        workers.totals.append(output["netfault"])


@pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_terminal_summary")
def pytest_netfault_colours(terminalreporter: Any) -> Generator[None, object, object]:
    """Around what pytest shows of failures: our section has colours where the terminal has, and there only."""
    reports = [
        report
        for outcome in ("failed", "error")
        for report in terminalreporter.stats.get(outcome, ())
        if any(name == "netfault" for name, _ in getattr(report, "sections", ()))
    ]
    if not reports or not terminalreporter.hasmarkup:
        return (yield)
    from pytest_netfault.report.colour import coloured

    before = [report.sections for report in reports]
    for report in reports:
        report.sections = [
            (name, coloured(text) if name == "netfault" else text) for name, text in report.sections
        ]
    try:
        return (yield)
    finally:
        for report, sections in zip(reports, before, strict=True):
            report.sections = sections


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line, if the plugin was used."""
    mine = config.stash.get(SESSION, None)
    workers = config.stash.get(_WORKERS, None)
    if config.get_verbosity() < 0 or (mine is None and not (workers and workers.totals)):
        return
    from pytest_netfault.report.terminal import summary_line

    if mine is not None and mine.interrupted:
        terminalreporter.write_line(mine.interrupted)
    crashed = workers.crashed if workers is not None else ()
    terminalreporter.write_line(summary_line(config.stash[SETTINGS].seed, _totals(config), crashed=crashed))


def _totals(config: pytest.Config) -> Totals:
    """What this session did to the network, its workers included."""
    from pytest_netfault.report.terminal import Totals

    mine = config.stash.get(SESSION, None)
    workers = config.stash.get(_WORKERS, None)
    totals = mine.totals if mine is not None else Totals()
    for counted in workers.totals if workers is not None else ():
        totals += Totals(**counted)
    return totals
