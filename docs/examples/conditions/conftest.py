"""Every link of the tests in this directory is a little slow: nobody has a local database in production."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def pytest_netfault_link(link):
    link.delay(0.005, jitter=0.002)


def pytest_netfault_fault(link, fault):
    log.info("%s: %r", link.name, fault.fault)  # pytest shows it with a test that fails
