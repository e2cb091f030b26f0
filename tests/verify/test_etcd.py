"""The proof on a real etcd: the naive loop is caught, the bundled wrapper keeps its promise."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_netfault import verify
from pytest_netfault.schedules import (
    Break,
    Compact,
    Heal,
    Reset,
    Schedule,
    Sever,
    Subscribe,
    WaitForEvents,
    Write,
)

pytestmark = pytest.mark.slow

STORES = Path(__file__).parents[2] / "docs" / "examples" / "stores"


pytest.importorskip("runtime_config", reason="the bundled wrapper is not installed: pip install -e wrapper")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"netfault_example_{name}", STORES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [1, 2])
def test_the_naive_loop_is_caught_with_a_small_schedule(etcd_server: Any, seed: int) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        # It is back within half a second of what it comes back from: two seconds of silence are enough.
        verify.no_update_lost(example("naive_etcd3").open_store, etcd_server, seed=seed, settle=2.0)
    assert len(caught.value.schedule) <= 6
    # Which rule depends on when gRPC, which waits about a second after a failure, is back: before the last write there
    # is a gap below it (reliable), after it a tail that never comes (complete).
    trace = caught.value.trace
    handed = [event["revision"] for item in trace["stream"] for event in item.get("events", ())]
    prefix = trace["filter"]["key"]
    owed = [
        entry["revision"]
        for entry in trace["log"]
        if entry["revision"] > trace["start_revision_exclusive"]
        and any(event["key"].startswith(prefix) for event in entry["events"])
    ]
    lost = [revision for revision in owed if revision not in handed]
    assert caught.value.broken == (("reliable",) if lost[0] < max(handed, default=0) else ("complete",))
    assert "NEVER ARRIVED" in str(caught.value)


def test_the_wrapper_loses_nothing(etcd_server: Any) -> None:
    report = verify.no_update_lost(
        example("runtime_config_store").open_store, etcd_server, seed=4, max_examples=20
    )
    assert report.examples == 20
    assert report.inconclusive == report.gave_up == report.not_closed == 0


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule([Subscribe(), Break(Sever()), Write("a"), Heal(), Write("b")]),
        Schedule(
            [
                Write("a"),
                Subscribe(),
                WaitForEvents(),
                Break(Reset()),
                Write("a"),
                Write("a"),
                WaitForEvents(),
            ]
        ),
        Schedule(
            [
                Subscribe(),
                Write("a"),
                WaitForEvents(),
                Break(Sever()),
                Write("b"),
                Compact(),
                Heal(),
                Write("c"),
            ]
        ),
    ],
    ids=["sever", "reset", "compacted"],
)
def test_the_wrapper_survives_what_the_naive_loop_does_not(etcd_server: Any, schedule: Schedule) -> None:
    verify.replay(example("runtime_config_store").open_store, etcd_server, schedule)
    with pytest.raises(verify.UpdateLost):
        verify.replay(example("naive_etcd3").open_store, etcd_server, schedule)


def test_a_sweep_over_the_wrapper(etcd_server: Any) -> None:
    report = verify.sweep(
        example("runtime_config_store").open_store, etcd_server, stride=200, how=["rst"]
    )  # every byte of it: wrapper/benchmarks/proof.py
    assert report.cuts_that_hit_traffic > 5
