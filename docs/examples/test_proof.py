"""The proof in one call: a store that keeps its promise, and one that does not."""

from __future__ import annotations

import pytest
from stores import naive_etcd3, runtime_config_store

from pytest_netfault import Schedule, UpdateLost, verify


def test_the_wrapper_loses_nothing(etcd_server):
    report = verify.no_update_lost(runtime_config_store.open_store, etcd_server, max_examples=15)

    assert report.inconclusive == 0
    assert report.cuts_that_hit_traffic > 0


def test_the_naive_loop_is_caught_and_the_schedule_is_small(etcd_server, tmp_path):
    with pytest.raises(UpdateLost) as caught:
        verify.no_update_lost(naive_etcd3.open_store, etcd_server, report_dir=tmp_path)

    lost = caught.value
    assert isinstance(lost.schedule, Schedule)
    assert len(lost.schedule) <= 6
    assert "verify.replay(open_store, server, schedule" in str(lost)  # what to paste to see it again
