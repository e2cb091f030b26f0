"""A proof in which the subscriber received nothing that it was expected to, under a fault, is no proof."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from pytest_netfault import Delivery, verify
from pytest_netfault.checks.trace import Promise
from pytest_netfault.faults import Cut, Reset, Sever
from pytest_netfault.schedules import Break, Delete, Heal, Schedule, Subscribe, WaitForEvents, Write

WATCHED = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Heal()])


def with_log(server: Any) -> Any:
    return server


def without_log(server: Any) -> Any:
    return SimpleNamespace(address=server.address)


@pytest.fixture(params=[with_log, without_log])
def truth(request: pytest.FixtureRequest, server: Any) -> Any:
    """The server with its log, and as one that keeps none."""
    return request.param(server)


@pytest.fixture
def deletes_only(toy: Any) -> Any:
    """Every put raises; deletes, of keys that are never there, are acknowledged. The subscriber is deaf."""

    class DeletesOnly(toy.RightStore):  # type: ignore[misc, name-defined]
        def put_many(self, changes: Any) -> None:
            if any(value is not None for value in changes.values()):
                raise OSError("no")
            super().put_many(changes)

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = revision + 1

    return DeletesOnly


@pytest.fixture
def before_only(toy: Any) -> Any:
    """Puts work until there is a subscription, and never again."""
    subscribed: list[str] = []

    class BeforeOnly(toy.RightStore):  # type: ignore[misc, name-defined]
        def put_many(self, changes: Any) -> None:
            if any(key.startswith(prefix) for key in changes for prefix in subscribed):
                raise OSError("no")
            super().put_many(changes)

        def subscribe(self, prefix: str, deliver: Any) -> None:
            super().subscribe(prefix, deliver)
            subscribed.append(prefix)

    return BeforeOnly


@pytest.fixture
def once(toy: Any) -> Any:
    """The first put for each name space is made, and none after it: all that arrives arrives before the fault."""
    names: set[str] = set()

    class Once(toy.RightStore):  # type: ignore[misc, name-defined]
        def put_many(self, changes: Any) -> None:
            name = next(iter(changes)).partition(".")[0]
            if name in names:
                raise OSError("no")
            names.add(name)
            super().put_many(changes)

    return Once


@pytest.mark.slow
def test_deletes_of_what_is_not_there_are_no_writes(deletes_only: Any, truth: Any) -> None:
    with pytest.raises(verify.ProvedNothing, match="no write was acknowledged in 10 examples") as caught:
        verify.no_update_lost(deletes_only, truth, seed=1, max_examples=10)
    assert caught.value.report.writes_acknowledged == 0


def test_a_replay_of_them_proves_nothing(deletes_only: Any, truth: Any) -> None:
    schedule = Schedule([Subscribe(), Break(Reset()), Delete("a"), Heal()])
    with pytest.raises(verify.ProvedNothing, match="no write was acknowledged in 1 example"):
        verify.replay(deletes_only, truth, schedule)


def test_a_sweep_of_them_proves_nothing(deletes_only: Any, truth: Any) -> None:
    scenario = Schedule([Subscribe(), Delete("a"), WaitForEvents()])
    with pytest.raises(verify.ProvedNothing, match="no write was acknowledged in"):
        verify.sweep(deletes_only, truth, scenario, direction="up", how=["rst"], stride=30)


def test_what_was_there_before_the_subscription_is_no_update(before_only: Any, server: Any) -> None:
    schedule = Schedule([Write("a"), Subscribe(), Break(Sever()), Write("b"), Heal()])
    with pytest.raises(verify.ProvedNothing, match="no update was expected of the subscriber in 1 example"):
        verify.replay(before_only, server, schedule)


def test_updates_that_all_arrive_before_the_fault_prove_nothing(once: Any, truth: Any) -> None:
    with pytest.raises(
        verify.ProvedNothing, match=r"none of the updates .* arrived while a fault that met traffic held"
    ) as caught:
        verify.replay(once, truth, WATCHED)
    assert caught.value.report.cuts_that_hit_traffic == 1
    assert caught.value.report.writes_acknowledged == 1


@pytest.mark.parametrize("promise", ["latest-per-key", "comes-back"])
def test_the_same_under_each_promise(once: Any, truth: Any, promise: Any) -> None:
    with pytest.raises(verify.ProvedNothing):
        verify.replay(once, truth, WATCHED, promise=promise)


def test_a_client_that_comes_back_to_silence_proves_nothing(once: Any, server: Any) -> None:
    """What arrives late was written before the outage ended: it shows nothing of what is written after it."""
    late = Schedule([Subscribe(), Break(Sever()), Write("a"), Heal(), WaitForEvents()])
    verify.replay(once, server, late)
    with pytest.raises(verify.ProvedNothing, match="no update was expected of the subscriber in 1 example"):
        verify.replay(once, server, late, promise="comes-back")


def test_one_update_after_the_fault_is_a_proof(toy: Any, truth: Any) -> None:
    for promise in get_args(Promise):
        verify.replay(toy.RightStore, truth, WATCHED, promise=promise)
    verify.replay(toy.RightStore, truth, Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever())]))


def test_bookmarks_of_a_store_without_a_log_move_the_time_of_nothing_else(toy: Any, server: Any) -> None:
    class Marks(toy.RightStore):  # type: ignore[misc, name-defined]
        def on_snapshot(self, revision: int, kvs: Any) -> None:
            super().on_snapshot(revision, kvs)
            for _ in range(50):
                self.hand(Delivery(bookmark=revision))

    verify.replay(Marks, without_log(server), WATCHED)


def test_a_fault_that_met_nothing_is_not_the_one_that_counts(once: Any, server: Any) -> None:
    schedule = Schedule([Subscribe(), Break(Cut(10**6)), Write("a"), WaitForEvents(), Break(Sever())])
    with pytest.raises(verify.ProvedNothing, match="none of the updates"):
        verify.replay(once, server, schedule)


def test_a_snapshot_after_the_fault_is_an_arrival(toy: Any, server: Any) -> None:
    class Snapshots(toy.RightStore):  # type: ignore[misc, name-defined]
        """Hands over nothing but snapshots, as a client may that promises the latest value only."""

        def on_events(self, revision: int, changes: Any) -> None:
            if revision >= self.next:
                self.take_snapshot()

    verify.no_update_lost(Snapshots, server, seed=1, max_examples=5, promise="latest-value", faults=[Reset])


@pytest.mark.slow
def test_parts_carry_it(deletes_only: Any, toy: Any, server: Any, tmp_path: Path) -> None:
    def prove(kind: Any, folder: str, shard: str) -> None:
        verify.no_update_lost(
            kind, server, seed=1, max_examples=4, faults=[Reset], shard=shard, report_dir=tmp_path / folder
        )

    for shard in ("1/2", "2/2"):
        with pytest.raises(verify.ProvedNothing):
            prove(deletes_only, "nothing", shard)
    with pytest.raises(verify.ProvedNothing, match="no write was acknowledged in 4 examples"):
        verify.merge(tmp_path / "nothing")
    with pytest.raises(verify.ProvedNothing):
        prove(deletes_only, "half", "1/2")
    prove(toy.RightStore, "half", "2/2")
    assert verify.merge(tmp_path / "half").examples == 4


def test_a_part_of_before_this_was_counted_is_refused(toy: Any, server: Any, tmp_path: Path) -> None:
    verify.no_update_lost(
        toy.RightStore, server, seed=1, max_examples=1, faults=[Reset], shard="1/1", report_dir=tmp_path
    )
    (path,) = tmp_path.iterdir()
    part = json.loads(path.read_text())
    del part["counted"]["untested"]
    path.write_text(json.dumps(part))
    with pytest.raises(ValueError, match=r"counted\.untested is missing: .* older .* play this part again"):
        verify.merge(tmp_path)
