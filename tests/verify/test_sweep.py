"""`verify.sweep`: which places there are, and that a cut at each of them is really made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mutants import lines
from support.mutants.subscribers import MUTANTS
from support.mutants.sweeps import RECOVERY, sweep

from pytest_netfault import verify
from pytest_netfault.faults import Cut, Delay, Frame, Sever
from pytest_netfault.framers import Message
from pytest_netfault.proof import losses
from pytest_netfault.proof.shards import Shard, read_shard
from pytest_netfault.proof.sweep import (
    Learned,
    Place,
    Wanted,
    carried,
    in_words,
    places,
    places_of,
    scenario_with,
)
from pytest_netfault.proxy.wire import ConnectionFrames
from pytest_netfault.schedules import Break, Compact, Heal, Schedule, Subscribe, WaitForEvents, Write

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
    runs = [
        Learned({1: (10, 4), 2: (3, 9)}),  # the same two connections, come in either order
        Learned({2: (10, 4), 1: (3, 9)}),
    ]
    assert carried([run.traffic for run in runs]) == {1: (10, 9), 2: (10, 9)}
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
    # The bytes of the write that ends the run are cut as well.
    assert report.inconclusive == len(report.holes) <= report.examples // 50
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


# -- places in frames ---------------------------------------------------------------------------------------


@pytest.fixture
def framed() -> Iterator[None]:
    """The toy's protocol is known."""
    with lines.known():
        yield


FRAMED = ConnectionFrames(
    "toylines",
    (Message("get", 1, 1, 0, 40), Message("watch", 1, 2, 40, 90)),
    (Message("rev", 1, 1, 0, 1), Message("watching", 1, 2, 1, 3), Message("rev", 2, 3, 3, 50)),
)


@pytest.mark.usefixtures("framed")
def test_three_places_stand_for_a_frame_and_fewer_for_a_short_one() -> None:
    wanted = Wanted(how=("rst",), frames=True)
    found = places_of([Learned({1: (90, 50)}, {1: FRAMED})], wanted, Shard(1, 1))
    assert [(place.direction, place.at.index, place.at.where) for place in found if place.at] == [
        *[("up", 1, "start"), ("up", 1, -1), ("up", 1, "middle")],
        *[("up", 2, "start"), ("up", 2, -1), ("up", 2, "middle")],
        *[("down", 1, "start"), ("down", 2, "start"), ("down", 2, -1)],
        *[("down", 3, "start"), ("down", 3, -1), ("down", 3, "middle")],
    ]
    assert found[0].cut == Cut(direction="up", connection=1, how="rst", at=Frame("toylines", 1))
    assert len(places_of([Learned({1: (90, 50)}, {1: FRAMED})], Wanted(how=("rst",)), Shard(1, 1))) == 140


@pytest.mark.parametrize(
    "frames",
    [
        ConnectionFrames(None),
        ConnectionFrames("toylines", FRAMED.up, FRAMED.down, lost_up=60, lost_down=10),
    ],
)
@pytest.mark.usefixtures("framed")
def test_where_there_are_no_frames_every_byte_is_a_place(frames: ConnectionFrames) -> None:
    found = places_of([Learned({1: (90, 50)}, {1: frames})], Wanted(how=("fin",), frames=True), Shard(1, 1))
    assert len(found) == 140
    assert {place.at for place in found} == {None}


@given(st.integers(1, 7), st.integers(1, 3), HOW)
@pytest.mark.usefixtures("framed")
def test_all_shards_together_hold_each_place_in_frames_once(of: int, stride: int, how: Any) -> None:
    learned = [Learned({1: (90, 50), 2: (90, 50)}, {1: FRAMED, 2: FRAMED})]
    wanted = Wanted(stride=stride, how=tuple(how), frames=True)
    parts = [place for number in range(1, of + 1) for place in places_of(learned, wanted, Shard(number, of))]
    assert len(set(parts)) == len(parts)
    assert set(parts) == set(places_of(learned, wanted, Shard(1, 1)))


@pytest.mark.slow
def test_a_sweep_by_frames_finds_with_a_tenth_of_the_places() -> None:
    """`python -m support.mutants.sweeps` plays every mutant."""
    by_bytes = sweep(MUTANTS["ResumesFromNow"], "bytes", ["rst"])
    by_frames = sweep(MUTANTS["ResumesFromNow"], "frames", ["rst"])
    assert by_bytes.found
    assert by_frames.found
    assert 0 < by_frames.of * 10 <= by_bytes.of
    assert by_frames.plays < by_bytes.plays


@pytest.mark.slow
@pytest.mark.usefixtures("framed")
def test_a_right_client_survives_a_cut_in_every_frame(toy: Any, server: Any) -> None:
    report = verify.sweep(toy.RightStore, server, places="frames", how=["fin", "rst"], settle=30.0)
    assert report.sweep is not None
    assert "toylines" in report.sweep
    assert len(report.holes) * 2 < report.examples
    assert 30 < report.examples < 400


# -- the recovery -------------------------------------------------------------------------------------------


def test_the_cut_waits_for_the_recovery_and_numbers_its_connections() -> None:
    scenario = Schedule([Subscribe(), Write("a"), Break(Sever()), Write("b"), Heal()])
    place = Place(1, "down", 212, "rst")
    assert scenario_with(scenario, place) == Schedule(
        [
            *[Subscribe(), Write("a")],
            Break(Cut(212, direction="down", connection=1, how="rst"), in_recovery=True),
            *[Break(Sever()), Write("b"), Heal()],
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("places", ["bytes", "frames"])
@pytest.mark.usefixtures("framed")
def test_the_recovery_of_a_right_client_is_swept(toy: Any, server: Any, places: Any) -> None:
    report = verify.sweep(
        toy.RightStore,
        server,
        RECOVERY,
        places=places,
        how=["rst"],
        stride=1 if places == "frames" else 9,
        settle=30.0,
    )
    assert report.examples > 10
    assert report.sweep is not None
    assert report.sweep.startswith("connection 1: ")
    assert len(report.holes) * 2 < report.examples


@pytest.mark.slow
@pytest.mark.usefixtures("framed")
def test_a_mistake_in_the_recovery_is_found_where_the_plain_sweep_finds_none(toy: Any, server: Any) -> None:
    """A client that comes back right from one failure, and wrongly from one while it comes back."""

    class SkipsWhileComingBack(toy.RightStore):  # type: ignore[misc, name-defined]
        recovering = watched = skips = False

        def on_watching(self, revision: int) -> None:
            self.watched = True

        def on_events(self, revision: int, changes: Any) -> None:
            self.recovering = False
            if self.skips:
                self.skips, self.next = False, revision + 1
            super().on_events(revision, changes)

        def goes_on(self, error: Exception | None) -> bool:
            self.skips = self.recovering and self.watched  # takes what it has not seen for seen
            self.recovering, self.watched = True, False
            return True

    with pytest.raises(verify.UpdateLost) as caught:
        verify.sweep(
            SkipsWhileComingBack, server, RECOVERY, places="frames", how=["rst"], settle=1.5, notice=None
        )
    plain = verify.sweep(SkipsWhileComingBack, server, places="frames", how=["rst"], settle=3.0, notice=None)
    assert plain.examples > 10
    assert any(isinstance(step, Break) and step.in_recovery for step in caught.value.schedule)
    assert Schedule.from_json(caught.value.schedule.to_json()) == caught.value.schedule
    assert "in_recovery=True" in str(caught.value)


def test_without_a_recovery_there_is_nothing_to_sweep(toy: Any, server: Any) -> None:
    scenario = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Delay(0.01)), Write("b")])
    with pytest.raises(verify.ProvedNothing, match="no connection came after the Break"):
        verify.sweep(toy.RightStore, server, scenario, settle=30.0)


def test_bad_places_are_refused(toy: Any, server: Any) -> None:
    with pytest.raises(ValueError, match=r"^places must be 'bytes' or 'frames', not 'words'$"):
        verify.sweep(toy.RightStore, server, places="words")  # type: ignore[arg-type]
    scenario = Schedule([Break(Cut(1, connection=1), in_recovery=True), Subscribe(), Write("a")])
    with pytest.raises(ValueError, match="in_recovery=True"):
        verify.sweep(toy.RightStore, server, scenario)
