"""Each mistake is found by a schedule made for it, and the client without a mistake survives all of them.

The search that generates a schedule for each of them, `support.mutants.table`, takes minutes; here a few of each kind
are searched for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.mutants import toy
from support.mutants.subscribers import MUTANTS

from pytest_netfault import verify
from pytest_netfault.schedules import (
    Break,
    Compact,
    Cut,
    Delete,
    Forget,
    Heal,
    Refuse,
    Reset,
    Schedule,
    Sever,
    Subscribe,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
    WriteMany,
)

SETTLE_SECONDS = 0.7
TESTS = Path(__file__).parents[1]


WATCHED = (Subscribe(), Write("a"), WaitForEvents())
ABSENT = Schedule([*WATCHED, Break(Sever()), Write("a")])
FORGOTTEN = Schedule([*WATCHED, Break(Sever()), Write("a"), Compact(), Heal(), Write("b")])
TOGETHER = Schedule([*WATCHED, WriteMany(("a", "b")), WaitForEvents(), Break(Sever()), Write("a")])
NEIGHBOUR = Schedule([Write("a", beside=True), *WATCHED, Write("a", beside=True), Break(Reset()), Write("b")])
DELETED = Schedule([*WATCHED, Delete("a"), Break(Reset()), Write("b")])
UNANSWERED = Schedule(
    [Break(Cut(3, direction="down", connection=3)), *WATCHED, Write("b", via="link"), Write("c")]
)

CAUGHT_BY = {
    "ResumesFromNow": ABSENT,
    "RemembersTheRevisionOnlyAfterTheFirstEvent": Schedule([Subscribe(), Break(Sever()), Write("a")]),
    "RepeatsTheLastRevision": Schedule([*WATCHED, Break(Reset()), Write("b")]),
    "SkipsOneRevision": ABSENT,
    # The header comes, and then the link breaks again before the change behind it has.
    "TrustsTheHeader": Schedule(
        [*WATCHED, Break(Cut(20, direction="down")), Write("a"), WaitForEvents(), Heal(), Write("b")]
    ),
    # Refusing new connections does nothing to the watch; the bytes of a beat are waited for from there.
    "TrustsTheBeat": Schedule(
        [*WATCHED, Break(Refuse()), WaitForBytes(5, "down"), Write("a"), Break(Reset()), Write("b")]
    ),
    "IgnoresCompaction": FORGOTTEN,
    "RetriesACompactedRevisionForEver": FORGOTTEN,
    "EndsOnCompaction": FORGOTTEN,
    "TakesARefusedWatchForOne": FORGOTTEN,
    "ResyncsWithoutDeletes": Schedule([*WATCHED, Break(Sever()), Delete("a"), Compact(), Heal(), Write("b")]),
    "ResyncsWithAnOldRevision": Schedule([Write("a"), *WATCHED, Break(Reset()), Write("b")]),
    "SnapshotsOnEachReconnect": ABSENT,
    "AdvancesBeforeTheCallback": Schedule(
        [*WATCHED, Break(Refuse()), Write("b"), WaitForBytes(45, "down"), Break(Reset()), Heal(), Write("c")]
    ),
    "SplitsTransactions": TOGETHER,
    "CountsChangesAsRevisions": TOGETHER,
    "DropsWhenItsQueueIsFull": Schedule([*WATCHED, Break(Sever()), *[Write("b")] * 4]),
    "DropsRepeatedValues": Schedule([*WATCHED, Write("a", repeat=True), Break(Reset()), Write("b")]),
    "IgnoresDeletes": DELETED,
    "TakesADeleteForAnEmptyValue": DELETED,
    "TakesFinForTheEnd": ABSENT,
    "EndsWithAnyError": Schedule(
        [*WATCHED, Break(Sever()), WaitForEvents(), Write("b"), WaitForEvents(), Heal(), Write("c")]
    ),
    "GivesUpAfterThreeTries": Schedule(
        [*WATCHED, Break(Sever()), Write("b"), *[WaitForEvents()] * 4, Heal(), Write("c")]
    ),
    "ForgetsItsPlaceOnTheSecondCut": Schedule(
        [*WATCHED, Break(Reset()), WaitForConnection(), Break(Sever()), Write("b"), Heal(), Write("c")]
    ),
    # Lasting, for the writes are acknowledged before the watch has had its 40 bytes, and what follows them heals.
    "TakesHalfALineForAWhole": Schedule(
        [Break(Cut(40, direction="down", connection=2), lasting=True), Subscribe(), Write("a"), Write("b")]
    ),
    "NoticesNoSilence": Schedule([*WATCHED, Break(Forget()), Write("a")]),
    "WatchesOneKey": NEIGHBOUR,
    "SnapshotOfTheNeighbour": NEIGHBOUR,
    "BookmarksTooEarly": ABSENT,
    "DeliversInReverse": TOGETHER,
    "RetriesWritesBlindly": UNANSWERED,
    "CallsATimeoutARejection": UNANSWERED,
    "AcknowledgesTooEarly": Schedule([*WATCHED, Break(Sever()), Write("b", via="link")]),
    "IsDeafAfterAnOutage": ABSENT,
    "HearsHalfAfterAnOutage": ABSENT,
    "LosesTheLastValueOfAKey": ABSENT,
    "TellsAnOldValueOfAKey": ABSENT,
}


def test_each_mutant_has_a_schedule() -> None:
    assert len(MUTANTS) >= 25
    assert set(CAUGHT_BY) == set(MUTANTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUGHT_BY)
def test_each_mistake_is_caught(server: Any, name: str) -> None:
    kind = MUTANTS[name]
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(
            kind, server, CAUGHT_BY[name], promise=kind.promise, settle=SETTLE_SECONDS, notice=SETTLE_SECONDS
        )
    assert set(caught.value.broken) & set(kind.expects), caught.value


@pytest.mark.slow
@pytest.mark.parametrize("schedule", dict.fromkeys(CAUGHT_BY.values()), ids=str)
def test_the_client_without_a_mistake_survives_it(server: Any, schedule: Schedule) -> None:
    verify.replay(toy.RightStore, server, schedule)


@pytest.mark.parametrize("promise", ["latest-per-key", "comes-back"])
@pytest.mark.parametrize("schedule", [ABSENT, FORGOTTEN, TOGETHER, NEIGHBOUR, DELETED], ids=str)
def test_a_client_that_keeps_a_weaker_promise_survives_it(
    server: Any, promise: Any, schedule: Schedule
) -> None:
    verify.replay(toy.RIGHT[promise], server, schedule, promise=promise)
    verify.replay(toy.RIGHT[promise], SimpleNamespace(address=server.address), schedule, promise=promise)


@pytest.mark.parametrize("promise", ["latest-per-key", "comes-back"])
def test_a_client_that_keeps_a_weaker_promise_does_not_keep_the_strongest(server: Any, promise: Any) -> None:
    with pytest.raises(verify.UpdateLost):
        verify.replay(toy.RIGHT[promise], server, Schedule([*ABSENT, Write("a")]), settle=SETTLE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("promise", ["latest-per-key", "comes-back"])
def test_a_right_client_of_each_promise_is_kept(server: Any, promise: Any) -> None:
    report = verify.no_update_lost(
        toy.RIGHT[promise], server, promise=promise, seed=1, settle=30, max_examples=10, notice=None
    )
    assert (report.examples, report.inconclusive) == (10, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["IgnoresCompaction", "SplitsTransactions"])
def test_a_schedule_that_catches_it_is_drawn(server: Any, name: str) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(MUTANTS[name], server, seed=1, settle=SETTLE_SECONDS, max_seconds=60)
    assert set(caught.value.broken) & set(MUTANTS[name].expects)
    assert len(caught.value.schedule) <= 8


@pytest.mark.slow
def test_the_command_makes_the_table() -> None:
    options = ["--seeds", "1", "--right", "5", "--jobs", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "support.mutants.table", "IgnoresDeletes", *options],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\| Hands over puts only\. \| 1 of 1 \| \d+, \d+ \| .*reliable \|$", done.stdout, re.M)
    assert "The client without a mistake, 5 examples of 1 seeds: kept in all of them." in done.stdout


def test_the_table_of_the_documentation_has_every_mistake() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "mutant-table.txt"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        (kind.__doc__ or "").splitlines()[0] for kind in MUTANTS.values()
    ]
    assert all(row.split(" | ")[1] == "5 of 5" for row in rows)
