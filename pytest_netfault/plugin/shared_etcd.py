"""One etcd, and one cluster of three, for the tests of a session.

Starting an etcd takes a tenth of a second, so tests share one. Keys are not shared: each test gets a prefix under
which nothing was ever written. The revision and the log are those of the whole store, as of any etcd.

Only the few methods that ``pytest_netfault_etcd`` promises are used, so that a project can provide its own server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytest_netfault.plugin.shared_servers import SharedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pytest

    from pytest_netfault.control import Link, NetFault
    from pytest_netfault.servers.etcd.cluster import EtcdMember, Partition

__all__ = ["EtcdCluster", "EtcdServer", "SharedCluster", "SharedEtcd", "open_cluster", "open_etcd"]

# A member that was cut off for long learns what it missed once it is let in again; three together take longer on a
# busy machine.
_READY_SECONDS = 60.0


def open_etcd(config: pytest.Config, where: str | None) -> SharedEtcd:
    """Start an etcd, or attach to one that another plugin provides or that runs already.

    Args:
        config: of the session.
        where: the text of ``--netfault-etcd``.

    Raises:
        ServerError: the one that was asked for cannot be used.
        ServerNotFound: there is none on this machine.
    """
    from pytest_netfault.servers.etcd.find import find_etcd

    server: object | None = config.hook.pytest_netfault_etcd(config=config)
    return SharedEtcd(find_etcd(where).start() if server is None else server)


def open_cluster(net: NetFault, where: str | None) -> SharedCluster:
    """Start three members whose peer traffic goes through links.

    Args:
        net: makes those links, and belongs to the cluster from now on.
        where: the text of ``--netfault-etcd``.

    Raises:
        ServerError: the binary that was asked for cannot be used, or a member does not start.
        ServerNotFound: there is no binary to start members of.
    """
    from pytest_netfault.servers.etcd.cluster import EtcdCluster as Cluster
    from pytest_netfault.servers.etcd.find import find_binary

    try:
        return SharedCluster(Cluster(find_binary(where), net.forward).start(), net)
    except BaseException:
        net.close()
        raise


class SharedEtcd(SharedServer):
    """What the fixture ``etcd_server`` gives: a running etcd, and an empty prefix for the test that runs.

    Everything that the server behind it offers is there: ``address``, ``revision()``, ``log(after_revision)``, and for
    an etcd that is ours also ``compact()``, ``kill()``, ``start()``, ``restart()``, ``pause()`` and ``resume()``.
    What a test leaves killed or frozen is started or resumed before the next test that uses the fixture.

    Args:
        server: an :class:`pytest_netfault.servers.etcd.server.EtcdServer`, or what a plugin provides instead.

    >>> class Fake:
    ...     address = "127.0.0.1:2379"
    >>> etcd = SharedEtcd(Fake())
    >>> etcd
    etcd_server
    >>> first = etcd.prefix
    >>> etcd.renew()
    >>> first != etcd.prefix, len(first) == len(etcd.prefix), hasattr(etcd, "compact")
    (True, True, False)
    """

    if TYPE_CHECKING:
        # What is passed on to the server behind it, for editors and type checkers; one that is not ours may lack some.
        @property
        def version(self) -> str: ...

        def compact(self) -> int: ...
        def kill(self) -> None: ...
        def start(self) -> object: ...
        def restart(self) -> None: ...
        def pause(self) -> None: ...
        def resume(self) -> None: ...
        def output(self, lines: int = 30) -> str: ...

    def __init__(self, server: Any, name: str = "etcd_server") -> None:
        super().__init__(server, name)
        # Random, because workers and other sessions may share a store; not from the seed, because the same seed is
        # run twice against the same store, and then the prefix must differ.
        self._token = os.urandom(4).hex()
        self._count = 1

    def revision(self, **options: Any) -> int:
        """The store's revision; options and errors as of the server behind it."""
        revision: int = self._server.revision(**options)
        return revision

    def log(self, after_revision: int, **options: Any) -> list[Any]:
        """Every committed revision after that one, with its events; options and errors as of the server behind it."""
        log: list[Any] = self._server.log(after_revision, **options)
        return log

    @property
    def prefix(self) -> str:
        """A prefix for keys, as ``"/netfault/5be0cd19/000017/"``: another one in each test, and empty when it begins.

        All are of one length, so that positions in a stream of bytes do not move from test to test.
        """
        return f"/netfault/{self._token}/{self._count:06d}/"

    def renew(self) -> None:
        """Turn to a prefix that was never used. The plugin does this before each test."""
        self._count += 1


class SharedCluster(SharedEtcd):
    """What the fixture ``etcd_cluster`` gives: three members that serve, and an empty prefix for the test that runs.

    Everything of :class:`pytest_netfault.servers.etcd.cluster.EtcdCluster` is there: ``members``, ``addresses``,
    ``leader()``, ``partition(...)``, ``links`` and the rest. What a test leaves broken, killed or frozen is healed,
    started or resumed before the next test that uses the fixture.

    Args:
        cluster: the cluster, started.
        net: what owns the links between its members.
    """

    if TYPE_CHECKING:
        members: Mapping[str, EtcdMember]
        links: Mapping[tuple[str, str], Link]

        @property
        def addresses(self) -> list[str]: ...

        def leader(self, *, timeout: float = 5.0) -> str: ...
        def links_between(self, *groups: Iterable[str]) -> list[Link]: ...
        def partition(self, *groups: Iterable[str], fault: Callable[[Link], Any] = ...) -> Partition: ...

    def __init__(self, cluster: Any, net: NetFault) -> None:
        super().__init__(cluster, "etcd_cluster")
        self._net = net

    def heal(self) -> None:
        """Heal every link between the members. The plugin does this after each test that uses the fixture."""
        self._net.heal()

    def make_ready(self) -> None:
        """Heal every link, start and resume every member, and return once each of them serves.

        Raises:
            ServerError: one of them does not, within a minute.
        """
        self.heal()
        members = list(self._server.members.values())
        for member in members:
            member.start(wait=False)
            member.resume()
        for member in members:
            member.revision(timeout=_READY_SECONDS)

    def close(self) -> None:
        """End the members, then the links between them. Idempotent."""
        try:
            super().close()
        finally:
            self._net.close()


#: The types of the fixtures, as a test imports them: ``from pytest_netfault import EtcdServer``.
EtcdServer = SharedEtcd
EtcdCluster = SharedCluster
