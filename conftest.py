"""For every test of the repository: no wall-clock deadline on what Hypothesis tries.

Two shared cores make a fast example slow now and then, and a deadline or a health check calls that a bug.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

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
