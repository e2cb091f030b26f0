"""Proofs under the weaker promises: what a loss says, and what is played again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from support.mutants import toy
from support.mutants.subscribers import MUTANTS

from pytest_netfault import verify
from pytest_netfault.cli.judge import judge
from pytest_netfault.schedules import Break, Forget, Reset, Schedule, Sever, Subscribe, WaitForEvents, Write

ABSENT = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])


def lost(name: str, server: Any, **more: Any) -> verify.UpdateLost:
    kind = MUTANTS[name]
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(kind, server, ABSENT, promise=kind.promise, settle=0.7, notice=0.7, **more)
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "headline", "row"),
    [
        (
            "IsDeafAfterAnOutage",
            "The subscriber did not come back after an outage: revision 4 ",
            "NEVER ARRIVED",
        ),
        (
            "HearsHalfAfterAnOutage",
            "An update was lost although the subscriber had come back: revision ",
            "did not arrive, which is allowed",
        ),
        (
            "LosesTheLastValueOfAKey",
            "The subscriber was left with an old state of a key: revision 3 (put 'a' = 'v5') ",
            "NEVER ARRIVED",
        ),
    ],
)
def test_a_loss_says_in_its_first_line_what_it_means(name: str, headline: str, row: str, server: Any) -> None:
    loss = lost(name, server, seed=1)
    assert str(loss).startswith(headline)
    assert row in str(loss).split("Broken:")[0]
    assert f"verify.replay(open_store, server, schedule, promise={MUTANTS[name].promise!r}" in str(loss)
    assert loss.broken == ("complete",)
    assert loss.timeline.headline.startswith(headline.split(":")[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["IsDeafAfterAnOutage", "LosesTheLastValueOfAKey", "TellsAnOldValueOfAKey"])
def test_its_file_says_the_same(name: str, server: Any, tmp_path: Path) -> None:
    loss = lost(name, server, report_dir=tmp_path)
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["promise"] == MUTANTS[name].promise
    out = io.StringIO()
    assert judge([path], as_json=True, out=out) == 1
    (judged,) = json.loads(out.getvalue())
    assert tuple(judged["broken"]) == loss.broken


@pytest.mark.slow
def test_shrinking_keeps_the_promise(server: Any) -> None:
    long = [
        Subscribe(),
        Write("a"),
        Write("b"),
        Break(Reset()),
        Write("a"),
        Break(Sever()),
        Write("b"),
        Write("c"),
    ]
    kind = MUTANTS["IsDeafAfterAnOutage"]
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(
            kind, server, promise=kind.promise, seed=2, settle=0.7, max_seconds=40, notice=None
        )
    assert len(caught.value.schedule) <= 4
    assert caught.value.trace["promise"] == kind.promise
    # The smallest is no loss to a client that keeps the promise, though it skips what the stronger one does not allow.
    verify.replay(toy.ComesBackStore, server, caught.value.schedule, promise=kind.promise)
    verify.replay(toy.ComesBackStore, server, Schedule(long), promise=kind.promise)


@pytest.mark.slow
def test_a_client_that_never_notices_a_dead_flow_does_not_come_back(server: Any) -> None:
    class NoticesNothing(toy.ComesBackStore):
        idle_seconds = None

    schedule = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Forget())])
    with pytest.raises(verify.UpdateLost, match="The client never noticed a dead flow"):
        verify.replay(NoticesNothing, server, schedule, promise="comes-back", notice=2)
    verify.replay(toy.ComesBackStore, server, schedule, promise="comes-back", notice=20)


@pytest.mark.slow
@pytest.mark.parametrize("promise", ["latest-per-key", "comes-back"])
def test_a_sweep_knows_the_promise(server: Any, promise: Any) -> None:
    report = verify.sweep(
        toy.RIGHT[promise], server, promise=promise, direction="down", how=["rst"], stride=25
    )
    assert report.examples > 3
