"""Mistakes that need a history: what the descriptions match, and that the clients make them in plays."""

from __future__ import annotations

import pytest
from support.mutants import toy
from support.mutants.deep import DEEP, Watched

from pytest_netfault import verify
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.guided import BEHIND
from pytest_netfault.schedules import (
    Break,
    Compact,
    Cut,
    Heal,
    Schedule,
    Sever,
    Subscribe,
    WaitForBytes,
    WaitForEvents,
    Write,
)

SEEN = (Subscribe(), Write("a"), WaitForEvents())
MADE_FOR = {
    "SnapshotFailsTwice": Schedule(
        [
            *(*SEEN, Break(Sever()), Write("a"), Compact(), Heal()),
            *(Break(Cut(30, direction="down")), Write("b"), WaitForBytes(150), Heal(), Write("c")),
        ]
    ),
    "FourCuts": Schedule(
        [
            *(*SEEN, Break(Sever()), Write("a"), Heal()),
            *(Break(Cut(18, direction="down")), WaitForBytes(80), Heal(), Write("c")),
        ]
    ),
    "TwoHalfGreetings": Schedule(
        [*SEEN, Break(Cut(5, direction="down")), WaitForBytes(12), Heal(), Write("c")]
    ),
}
# For each a history behind which it loses the change that comes last, and one that differs in a letter.
HISTORIES = {
    "TwoHalfLines": ("scwpHfcwHfcwp", "scwpHfcwhfcwp"),
    "TwoHalfGreetings": ("scwpfchfchfcwp", "scwpfchfcwfcwp"),
    "SnapshotFailsTwice": ("scwpfckQrckQrcksfcwp", "scwpfckQrcksfcwp"),
    "ResetAfterSilence": ("scwptcwrcwp", "scwptcwfcwp"),
    "DeleteAfterTwoCuts": ("scwrcwfcwd", "scwrcwfcwp"),
    "RepeatAfterACut": ("scwprcwfcw=", "scwprcwfcwp"),
    "ManyBehindASnapshot": ("scwpfcksfcwm", "scwpfcksfcwp"),
    "ResetTwiceInTheBacklog": ("scwpfcwprcwprcwp", "scwpfcwprcwpfcwp"),
    "FinAndResetAndSilence": ("scwfcwrcwtcwp", "scwfcwrcwrcwp"),
    "FourCuts": ("scwfcwrcwfcwfcwp", "scwpcwrcwfcwfcwp"),
    "CompactedAfterHalfALine": ("scwHfcksfcwp", "scwhfcksfcwp"),
    "CompactedAfterTwoCuts": ("scwfcwrcksfcwp", "scwpfcwprcksfcwp"),
    "TransactionAfterAReset": ("scwfcwrcwpm", "scwfcwrcwpp"),
}


def test_every_deep_mistake_has_its_histories() -> None:
    assert set(HISTORIES) == set(DEEP)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_mistake_is_made_behind_its_history_and_no_other(name: str) -> None:
    behind, other = HISTORIES[name]
    assert DEEP[name].pattern.search(behind)
    assert not DEEP[name].pattern.search(other)


@pytest.mark.parametrize("name", MADE_FOR)
def test_what_is_noted_of_the_right_client_is_what_the_one_with_the_mistake_loses(name: str) -> None:
    with toy.ToyServer() as server:
        with Bench(Watched, server, Settings(settle=10.0, seed=1)) as bench:
            run = bench.play(MADE_FOR[name])
        assert not run.broken
        assert name in Watched.lost.pop(run.trace.filter.key)
        with pytest.raises(verify.UpdateLost) as caught:
            verify.replay(DEEP[name], server, MADE_FOR[name], settle=0.5)
        assert set(caught.value.broken) & set(DEEP[name].expects)


@pytest.mark.slow
def test_a_guided_search_varies_what_it_has_played_and_blames_no_right_client() -> None:
    played: list[Schedule] = []
    with toy.ToyServer() as server:
        report = verify.no_update_lost(
            toy.RightStore,
            server,
            seed=1,
            settle=10.0,
            notice=None,
            max_examples=BEHIND + 16,
            search="guided",
            progress=lambda progress: played.append(progress.schedule),
        )
    assert report.examples == len(played) == BEHIND + 16
    assert all(Schedule.from_json(one.to_json()) == one for one in played)
    with toy.ToyServer() as server:
        drawn: list[Schedule] = []
        verify.no_update_lost(
            toy.RightStore,
            server,
            seed=1,
            settle=10.0,
            notice=None,
            max_examples=2,
            progress=lambda progress: drawn.append(progress.schedule),
        )
    assert played[:2] == drawn, "it begins with what the seed draws"


def test_a_search_that_does_not_exist_is_refused() -> None:
    with toy.ToyServer() as server, pytest.raises(ValueError, match="search must be 'seeded' or 'guided'"):
        verify.no_update_lost(toy.RightStore, server, search="wild")  # type: ignore[arg-type]
