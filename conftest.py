"""For every test of the repository: no wall-clock deadline on what Hypothesis tries, and what portable mode leaves out.

Two shared cores make a fast example slow now and then, and a deadline or a health check calls that a bug.

In portable mode a test that meets a fault which needs socket filters is skipped, with what the fault itself says. Where
no fault says it, the test is marked ``linux``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Iterator

import pytest

from pytest_netfault import UnsupportedFault
from pytest_netfault.common import system

if importlib.util.find_spec("hypothesis") is not None:  # the core is tested without it too
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "netfault", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("netfault")


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """No proof of a test plays first what an earlier run of it lost: a test of ours says the same each time."""
    from pytest_netfault.proof.remembered import forgetful

    with forgetful():
        yield


if not system.LINUX:

    def pytest_runtest_setup(item: pytest.Item) -> None:
        if (mark := item.get_closest_marker("linux")) is not None:
            pytest.skip(f"portable mode: {mark.args[0]}")

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call() -> Generator[None, object, object]:
        try:
            return (yield)
        except UnsupportedFault as error:
            pytest.skip(f"portable mode: {error}")
