"""One proof with a budget for each occasion: ``PROOF_BUDGET=night pytest``."""

from __future__ import annotations

import os

from stores import runtime_config_store

from pytest_netfault import verify

BUDGETS = {
    "push": {"max_seconds": 10, "notice": None},  # what ten seconds are enough for; dead flows take a minute
    "merge": {"max_examples": 100},
    "night": {"max_examples": 10_000, "max_seconds": 1800},
}


def test_no_update_is_lost(etcd_server):
    budget = BUDGETS[os.environ.get("PROOF_BUDGET", "push")]
    verify.no_update_lost(runtime_config_store.open_store, etcd_server, **budget)
