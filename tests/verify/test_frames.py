"""Stories and pictures name the frame in which a cut fell, on a real etcd."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_netfault import Break, Cut, Frame, Schedule, Subscribe, Write, verify

pytestmark = pytest.mark.slow

STORES = Path(__file__).parents[2] / "docs" / "examples" / "stores"


pytest.importorskip("runtime_config", reason="the bundled wrapper is not installed: pip install -e wrapper")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"netfault_frames_{name}", STORES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "cut",
    [
        Cut(direction="down", at=Frame("grpc", "watch response", index=2, where="middle")),
        Cut(180, direction="down"),
    ],
)
def test_a_story_names_the_frame_in_which_a_cut_fell(etcd_server: Any, cut: Cut) -> None:
    schedule = Schedule([Subscribe(), Break(cut), Write("a"), Write("a"), Write("b")])
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(example("naive_etcd3").open_store, etcd_server, schedule, settle=2.0)
    assert "cut #1 inside the 2nd Watch response, " in str(caught.value)
    assert caught.value.timeline is not None
    details = [text for mark in caught.value.timeline.marks for _, text in mark.details]
    assert any("down inside the 2nd Watch response, " in text for text in details)
    if cut.at is not None:  # what is pasted plays the same
        assert "import Break, Cut, Frame, Schedule" in str(caught.value)
        assert Schedule.from_json(schedule.to_json()) == caught.value.schedule


def test_the_default_proof_keeps_its_promise_where_frames_are_cut(etcd_server: Any) -> None:
    places = [
        Cut(direction="down", at=Frame("http2", kind, index=index, where=where), how=how)
        for kind, index in (("Watch response", 1), ("Watch response", 2), ("HEADERS", 1))
        for where, how in (("start", "fin"), ("middle", "rst"), ("end", "fin"))
    ]
    store = example("runtime_config_store").open_store
    report = verify.no_update_lost(store, etcd_server, faults=places, max_examples=12, seed=3, notice=None)
    assert report.cuts_that_hit_traffic > 6
