"""One etcd for a session, and a name space of its own for each test.

Starting an etcd takes a tenth of a second, so tests share one. What they must not share is keys: each test gets a
prefix that nothing was ever written under. The store's revision and its log are the whole store's, as a real one's
are.

Rules of this file: the server is used through the few methods that ``pytest_netfault_etcd`` promises, so that it
may be anybody's.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["SharedCluster", "SharedEtcd"]

# A member that was cut off for long learns what it missed once it is let in again; three together take longer on a
# busy machine.
_READY_SECONDS = 60.0


class SharedEtcd:
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

    def __init__(self, server: Any) -> None:
        self._server = server
        # Random, because workers and other sessions may share a store; not from the seed, because the same seed is
        # run twice against the same store, and then the prefix must differ.
        self._token = os.urandom(4).hex()
        self._count = 1

    @property
    def server(self) -> Any:
        """The server itself."""
        return self._server

    @property
    def address(self) -> str:
        """Where clients connect: ``"127.0.0.1:2379"``."""
        address: str = self._server.address
        return address

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

    def make_ready(self) -> None:
        """Start and resume a server that can be, in case the test before left it killed or frozen.

        Raises:
            ServerError: it does not start.
        """
        for step in ("start", "resume"):
            method = getattr(self._server, step, None)
            if method is not None:
                method()

    def last_words(self) -> str:
        """The last lines that the server printed, if it tells."""
        output = getattr(self._server, "output", None)
        return "" if output is None else str(output(200))

    def close(self) -> None:
        """Close the server, if it can be. Twice is fine."""
        close = getattr(self._server, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._server, name)

    def __repr__(self) -> str:
        return "etcd_server"


class SharedCluster(SharedEtcd):
    """What the fixture ``etcd_cluster`` gives: three members that serve, and an empty prefix for the test that runs.

    Everything of :class:`pytest_netfault.servers.etcd.cluster.EtcdCluster` is there: ``members``, ``addresses``,
    ``leader()``, ``partition(...)``, ``links`` and the rest. What a test leaves broken, killed or frozen is healed,
    started or resumed before the next test that uses the fixture.

    Args:
        cluster: the cluster, started.
        net: what owns the links between its members.
    """

    def __init__(self, cluster: Any, net: Any) -> None:
        super().__init__(cluster)
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
        """End the members, then the links between them. Twice is fine."""
        try:
            super().close()
        finally:
            self._net.close()

    def __repr__(self) -> str:
        return "etcd_cluster"
