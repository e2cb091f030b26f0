"""A proof in the workers of an executor: processes of this machine here, a cluster with one line changed."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from stores import runtime_config_store

from pytest_netfault import verify
from pytest_netfault.servers.etcd import find_etcd


def open_etcd():
    return find_etcd().start()  # ends with its `with` block


def test_nothing_is_lost_in_any_worker():
    # With dask it is: executor = distributed.Client(address).get_executor()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        report = verify.no_update_lost(
            runtime_config_store.open_store,
            open_etcd,  # each share has one of its own
            executor=executor,
            max_examples=40,
            notice=None,  # dead flows take a minute: leave it out
        )
    assert report.examples == 40
