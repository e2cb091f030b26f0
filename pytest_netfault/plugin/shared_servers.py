"""Servers that the tests of a session share: each is started by the first test that asks for its fixture.

A server of another kind is one file and one fixture::

    from pytest_netfault.plugin import share_server
    from pytest_netfault.plugin.shared_servers import SharedServer
    from pytest_netfault.servers import OwnedServer, ServerNotFound

    def open_redis():
        program = shutil.which("redis-server")
        if program is None:
            raise ServerNotFound("no redis was found: install redis-server")
        return SharedServer(OwnedServer(lambda port, folder: [program, "--port", str(port)]).start(), "redis_server")

    @pytest.fixture(scope="session")
    def redis_server(request):
        yield from share_server(request, open_redis)

It then has what ours have: it is started or resumed again before the next test that uses it, skipped where the machine
has none (an error with ``--netfault-strict``), kept with ``--netfault-keep``, its output stands beside the report of a
failing test, and it ends with the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_netfault.servers.errors import ServerNotFound

if TYPE_CHECKING:
    from pytest_netfault.plugin.options import Settings

__all__ = ["SharedServer", "SharedServers"]

# Of what a server printed, beside the report of a failing test.
_LINES_KEPT = 200


class SharedServer:
    """What a fixture of a shared server gives: the server, and what the session does with it between tests.

    Everything that the server behind it offers is there. All methods here may be overridden.

    Args:
        server: what was started. If it has ``start()`` and ``resume()`` they are called before each test that uses it,
            ``output(lines)`` gives what stands beside the report of a failing test, and ``close()`` ends it; all must
            be idempotent.
        name: of its fixture.

    >>> class Redis:
    ...     address = "127.0.0.1:6379"
    >>> redis = SharedServer(Redis(), "redis_server")
    >>> redis, redis.address, hasattr(redis, "compact")
    (redis_server, '127.0.0.1:6379', False)
    """

    def __init__(self, server: Any, name: str) -> None:
        self._server = server
        self._name = name

    @property
    def server(self) -> Any:
        """The server itself."""
        return self._server

    @property
    def address(self) -> str:
        """Where clients connect: ``"127.0.0.1:2379"``."""
        address: str = self._server.address
        return address

    def renew(self) -> None:
        """A test, or another attempt at it, begins; whether or not it uses this server."""

    def make_ready(self) -> None:
        """A test that uses this server begins: start and resume it, in case the test before left it killed or frozen.

        Raises:
            ServerError: it does not start.
        """
        for step in ("start", "resume"):
            method = getattr(self._server, step, None)
            if method is not None:
                method()

    def heal(self) -> None:
        """The call phase of a test that uses this server has ended: heal the faults on links of its own."""

    def last_words(self) -> str:
        """The last lines that the server printed, if it has any."""
        output = getattr(self._server, "output", None)
        return "" if output is None else str(output(_LINES_KEPT))

    def close(self) -> None:
        """Close the server, if it can be. Idempotent."""
        close = getattr(self._server, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._server, name)

    def __repr__(self) -> str:
        return self._name


S = TypeVar("S", bound=SharedServer)


class SharedServers:
    """The shared servers of a session, by the names of their fixtures.

    Args:
        config: of the session.
        settings: of the session.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._open: dict[str, SharedServer] = {}
        self._missing: dict[str, str] = {}  # the fixtures that this machine cannot provide, and why
        self._kept = False

    def open(self, fixture: str, start: Callable[[], S]) -> S:
        """Start a server.

        Raises:
            ServerError: as ``start`` raises it, but:
            pytest.skip.Exception: for `ServerNotFound`: this machine has none (a failure if strict).
        """
        try:
            self._open[fixture] = server = start()
            return server
        except ServerNotFound as error:
            missing = str(error)
        # Out here, because a chain of exceptions would say it once for each.
        if self._settings.strict:
            pytest.fail(f"{missing} (--netfault-strict: not skipped)", pytrace=False)
        self._missing[fixture] = missing
        pytest.skip(missing)

    def close(self, fixture: str, *, failures: int = 0) -> None:
        """Close a server. Idempotent.

        Args:
            fixture: the name of its fixture.
            failures: how many tests have failed; with ``--netfault-keep=on-failure`` the first server to end waits for
                Ctrl-C if any has.
        """
        if fixture in self._open and self._settings.keep and failures and not self._kept:
            self._kept = True
            from pytest_netfault.plugin.keep import hold

            hold(self._config, [(repr(one), ", ".join(_addresses(one))) for one in self._open.values()])
        server = self._open.pop(fixture, None)
        if server is not None:
            server.close()

    def close_all(self) -> None:
        """Close those that are left, the newest first. Idempotent."""
        while self._open:
            self._open.popitem()[1].close()

    def begin(self, item: pytest.Item) -> None:
        """A test begins."""
        for server in self._open.values():
            server.renew()
        for server in self._used_by(item):
            server.make_ready()

    def heal(self, item: pytest.Item) -> None:
        """The call phase of a test has ended."""
        for server in self._used_by(item):
            server.heal()

    def why_missing(self, item: pytest.Item) -> str:
        """Why a test was skipped for want of a server; empty if it was not."""
        names = getattr(item, "fixturenames", ())
        return next((why for fixture, why in self._missing.items() if fixture in names), "")

    def last_words(self) -> dict[str, str]:
        """What the servers have printed last, by the name of a file for it, as ``etcd.log``."""
        words = {
            f"{fixture.removesuffix('_server').replace('_', '-')}.log": server.last_words()
            for fixture, server in self._open.items()
        }
        return {file: text + "\n" for file, text in words.items() if text}

    def described(self, item: pytest.Item) -> list[str]:
        """The servers that a test uses, each in a line: its fixture, its address, and its version if it has one."""
        lines = []
        for server in self._used_by(item):
            version = str(getattr(server, "version", "") or "")
            lines.append(f"{server!r} at {server.address}" + (f", version {version}" if version else ""))
        return lines

    def _used_by(self, item: pytest.Item) -> list[SharedServer]:
        names = getattr(item, "fixturenames", ())
        return [server for fixture, server in self._open.items() if fixture in names]


def _addresses(server: SharedServer) -> Sequence[str]:
    addresses: Sequence[str] = getattr(server, "addresses", [server.address])
    return addresses
