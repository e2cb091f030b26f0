"""A plugin of a house with many repositories: it uses each hook that there is.

Its suites load it with ``-p house_plugin``, or it is a package with an entry point ``pytest11``.
"""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from pytest_netfault import ActiveFault, Link
from pytest_netfault.faults import FAULTS

log = logging.getLogger(__name__)


class House:
    """What the house wants of all its suites, and what it learns from them."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()

    def pytest_netfault_link(self, link: Link) -> None:
        """Say in the log of a failing test where its links led."""
        log.info("%s leads from %s to %s", link.name, link.address, link.upstream)

    def pytest_netfault_fault(self, link: Link, fault: ActiveFault) -> None:
        """Count which faults the suite uses."""
        self.used[type(fault.fault).__name__] += 1

    def pytest_netfault_etcd(self, config: pytest.Config) -> object:
        """The etcd of the house: as in production, a request may have no more than 100 kB."""
        from pytest_netfault.servers.etcd import EtcdServer, find_binary

        binary = find_binary(config.getoption("netfault_etcd"))
        return EtcdServer(binary, flags=["--max-request-bytes=100000"]).start()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the faults that no test has tried."""
        if self.used:
            never = sorted(kind.__name__ for kind in FAULTS if not self.used[kind.__name__])
            terminalreporter.write_line(f"faults that no test has tried: {', '.join(never)}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(House(), "house")
