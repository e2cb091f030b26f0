"""Hooks that other plugins and ``conftest.py`` files may implement.

pytest-netfault calls them in the thread that made the link or the fault, usually the test's own, before control
returns to the test. An exception out of one fails that test. Take only the arguments that you need, as with
pytest's own hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_netfault.control import ActiveFault, Link


def pytest_netfault_link(link: Link) -> None:
    """A fixture has just opened a link.

    The link serves already, and belongs to its NetFault, which will close it. Use it to put every link of a
    suite under the same conditions, or to record where the links are::

        def pytest_netfault_link(link):
            link.delay(0.02)        # nobody has a local database in production
    """


def pytest_netfault_fault(link: Link, fault: ActiveFault) -> None:
    """A fault has just come into force on a link that a fixture opened.

    Called for every fault, whichever method applied it, also from within these hooks. ``fault.fault`` is what was
    asked for; ``fault.heal()`` takes it away again.
    """


@pytest.hookspec(firstresult=True)
def pytest_netfault_etcd(config: pytest.Config) -> object | None:
    """Provide the etcd behind the fixture ``etcd_server``; None leaves it to the next plugin, and to ours at last.

    Called at most once in a session (in each worker under pytest-xdist), by the first test that asks for
    ``etcd_server``. The first result that is not None is taken; ``--netfault-etcd`` is then not looked at.

    Returns:
        An object with

        * ``address``: ``"host:port"`` for clients,
        * ``revision() -> int``: the store's revision,
        * ``log(after_revision) -> list``: every committed revision after that one, with its events, read over an
          undisturbed connection,

        and optionally ``compact()``, ``restart()``, ``pause()`` and ``resume()``, which schedules use. ``start()``
        and ``resume()``, where they exist, are called before each test that uses the fixture, and ``close()``
        at the end of the session; all three must be idempotent.
    """
