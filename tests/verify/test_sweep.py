"""`verify.sweep`: which places there are, and that a cut at each of them is really made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault import verify
from pytest_netfault.faults import Cut, Sever
from pytest_netfault.proof import losses
from pytest_netfault.proof.shards import Shard, read_shard
from pytest_netfault.proof.sweep import Place, carried, in_words, places, scenario_with
from pytest_netfault.schedules import Break, Compact, Schedule, Subscribe, WaitForEvents, Write

TRAFFIC = st.dictionaries(st.integers(1, 4), st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4)
DIRECTIONS = st.sampled_from(["up", "down", "both"])
HOW = st.lists(st.sampled_from(["fin", "rst", "blackhole"]), min_size=1, max_size=3, unique=True)


@given(TRAFFIC, DIRECTIONS, st.integers(1, 70), HOW, st.integers(1, 7))
def test_all_shards_together_hold_each_place_once(
    traffic: dict[int, tuple[int, int]],
    direction: Literal["up", "down", "both"],
    stride: int,
    how: Any,
    of: int,
) -> None:
    def part(shard: Shard) -> list[Place]:
        return places(traffic, direction=direction, stride=stride, how=how, shard=shard)

    whole = part(Shard(1, 1))
    parts = [place for number in range(1, of + 1) for place in part(Shard(number, of))]
    assert sorted(parts) == sorted(whole)
    assert len(set(whole)) == len(whole)
    expected = sum(
        len(range(0, count, stride)) * len(how)
        for up, down in traffic.values()
        for way, count in (("up", up), ("down", down))
        if direction in (way, "both")
    )
    assert len(whole) == expected


@pytest.mark.slow
@given(st.lists(TRAFFIC, min_size=1, max_size=7), DIRECTIONS, st.integers(1, 9), HOW)
def test_shards_that_learn_different_numbers_of_bytes_hold_no_place_twice(
    learned: list[dict[int, tuple[int, int]]], direction: Literal["up", "down", "both"], stride: int, how: Any
) -> None:
    of = len(learned)
    parts = [
        places(traffic, direction=direction, stride=stride, how=how, shard=Shard(number, of))
        for number, traffic in enumerate(learned, start=1)
    ]
    played = [place for part in parts for place in part]
    assert len(set(played)) == len(played)
    wholes = [
        set(places(traffic, direction=direction, stride=stride, how=how, shard=Shard(1, 1)))
        for traffic in learned
    ]
    assert set.intersection(*wholes) <= set(played)  # where all agree that there is a place, it is played


def test_there_is_a_place_as_far_as_any_run_got_and_both_are_told() -> None:
    runs: Any = [
        SimpleNamespace(traffic={1: (10, 4), 2: (3, 9)}),  # the same two connections, come in either order
        SimpleNamespace(traffic={2: (10, 4), 1: (3, 9)}),
    ]
    assert carried(runs) == {1: (10, 9), 2: (10, 9)}
    assert (
        in_words(runs)
        == "connection 1: 3 to 10 B up, 4 to 9 B down, connection 2: 3 to 10 B up, 4 to 9 B down"
    )
    assert in_words(runs[:1]) == "connection 1: 10 B up, 4 B down, connection 2: 3 B up, 9 B down"


def test_a_place_that_is_missed_is_tried_again(toy: Any, server: Any) -> None:
    opened = 0

    class TalksMoreEveryOtherTime(toy.RightStore):  # type: ignore[misc, name-defined]
        """Asks once more before it subscribes, in every second life: connection 3 is there only then."""

        def start(self) -> None:
            nonlocal opened
            opened += 1
            if opened % 2:
                self.request({"op": "get", "prefix": self.prefix})
            super().start()

    scenario = Schedule([Subscribe(), Write("a")])
    report = verify.sweep(
        TalksMoreEveryOtherTime, server, scenario, direction="up", how=["rst"], stride=20, shard="1/2"
    )
    assert report.examples > 3
    assert len(report.holes) < report.examples / 2


def test_a_place_is_a_cut_that_waits_from_the_start() -> None:
    scenario = Schedule([Subscribe(), Write("a")])
    place = Place(2, "down", 212, "rst")
    assert scenario_with(scenario, place) == Schedule(
        [Break(Cut(212, direction="down", connection=2, how="rst")), Subscribe(), Write("a")]
    )


@pytest.mark.parametrize("text", ["0/8", "9/8", "2", "2/", "a/b", "2/8/1", "-1/8", 7, ""])
def test_bad_shards_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="shard must be a number of a number, such as '2/8', not"):
        read_shard(text)


@pytest.mark.slow
def test_a_right_client_survives_a_cut_at_every_byte(toy: Any, server: Any) -> None:
    remaining: list[float | None] = []

    def told(progress: verify.Progress) -> None:
        if progress.stage == "sweeping":
            remaining.append(progress.remaining)

    report = verify.sweep(toy.RightStore, server, stride=9, progress=told)
    assert report.examples > 100
    assert report.inconclusive == len(report.holes) <= report.examples // 10
    assert report.cuts_that_hit_traffic == report.examples - report.inconclusive
    assert f"cut at {report.examples - len(report.holes)} of {report.examples} places: nothing lost" in str(
        report
    )
    assert report.sweep is not None
    assert "connection 1: " in report.sweep
    assert remaining[-1] == 0


@pytest.mark.slow
def test_a_loss_at_one_place_is_told_with_its_place(
    toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "SHRINK_SECONDS", 2.0)  # how small it gets is not what is tested

    class FinIsTheEnd(toy.RightStore):  # type: ignore[misc, name-defined]
        def goes_on(self, error: Exception | None) -> bool:
            return error is not None

    with pytest.raises(verify.UpdateLost, match="of a sweep") as caught:
        verify.sweep(FinIsTheEnd, server, direction="down", how=["fin"], stride=7, settle=0.2)
    assert any(isinstance(step, Break) for step in caught.value.schedule)


def test_a_scenario_that_fails_without_a_cut_says_so(toy: Any, server: Any) -> None:
    class Deletes(toy.RightStore):  # type: ignore[misc, name-defined]
        def on_events(self, revision: int, changes: Any) -> None:
            super().on_events(revision, [(key, value or "") for key, value in changes])

    with pytest.raises(verify.UpdateLost, match="without any cut"):
        verify.sweep(Deletes, server, settle=0.5)


def test_a_sweep_whose_cuts_never_fire_proves_nothing(toy: Any, server: Any) -> None:
    with pytest.raises(verify.ProvedNothing, match="no example was played"):
        verify.sweep(lambda _: toy.RightStore(server.address), server)


def test_what_the_subject_raises_in_a_play_is_raised(toy: Any, server: Any) -> None:
    class Sometimes(toy.RightStore):  # type: ignore[misc, name-defined]
        opened = 0

        def __init__(self, address: str) -> None:
            Sometimes.opened += 1
            if Sometimes.opened > 20:
                raise LookupError("enough")
            super().__init__(address)

    with pytest.raises(LookupError, match="enough"):
        verify.sweep(Sometimes, server, stride=20)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"direction": "left"}, ValueError, "direction must be 'up', 'down' or 'both', not 'left'"),
        ({"stride": 0}, ValueError, "stride must be at least 1, not 0"),
        ({"how": "fin"}, TypeError, "how must be a list such as .*, not 'fin'"),
        ({"how": ["eof"]}, ValueError, "how must hold 'fin', 'rst', 'blackhole', not 'eof'"),
        ({"how": []}, ValueError, "how must hold at least one of"),
        ({"shard": "9/8"}, ValueError, "such as '2/8', not '9/8'"),
        ({"scenario": [Subscribe()]}, TypeError, "scenario must be a Schedule"),
        ({"scenario": Schedule([Subscribe(), Break(Sever())])}, ValueError, "no Break.* of its own"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(
    toy: Any, server: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify.sweep(toy.RightStore, server, **arguments)


def test_a_scenario_of_ones_own(toy: Any, server: Any) -> None:
    scenario = Schedule([Subscribe(), Write("a"), WaitForEvents(), Compact(), Write("b")])
    report = verify.sweep(
        toy.RightStore, server, scenario, direction="down", how=["rst"], stride=25, shard="1/2"
    )
    assert 0 < report.examples < 40
