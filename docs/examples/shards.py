"""A sweep in four parts, for the workers of pytest-xdist or the machines of a CI matrix.

pytest -n 2 --netfault-seed=7
netfault merge netfault-reports/sweep
"""

from __future__ import annotations

import pytest
from stores import runtime_config_store

from pytest_netfault import verify


@pytest.mark.parametrize("shard", ["1/4", "2/4", "3/4", "4/4"])
def test_a_cut_at_any_byte_loses_nothing(etcd_server, shard):
    verify.sweep(
        runtime_config_store.open_store,
        etcd_server,
        stride=150,  # every place: leave it out
        how=["rst"],
        shard=shard,
        report_dir="netfault-reports/sweep",
    )
