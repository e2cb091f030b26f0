"""Lanes: the same in the same order for any number of them, and nobody blamed for a busy machine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault import Schedule, Subscribe, UpdateLost, verify
from pytest_netfault.faults import Reset, Sever
from pytest_netfault.proof.lanes import Lanes
from pytest_netfault.proof.limits import NO_DEADLINE, Recallable
from pytest_netfault.proof.pulse import Pulse
from pytest_netfault.schedules.dead_flows import touches_server

WAIT_SECONDS = 30.0


class Bench:
    """Stands for a bench, and knows whether it is open."""

    has_servers_apart = False

    def __init__(self) -> None:
        self.opened = self.closed = 0

    def __enter__(self) -> Bench:
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1


@contextlib.contextmanager
def lanes(count: int) -> Iterator[tuple[Any, list[Bench]]]:
    benches: list[Bench] = []

    def open_bench(_until: object, *, apart: bool) -> Bench:
        assert apart
        benches.append(Bench())
        return benches[-1]

    own: Any = Bench()
    with Lanes(own, open_bench, count, until=NO_DEADLINE) as made:  # type: ignore[arg-type]
        yield made, benches
    assert all((bench.opened, bench.closed) == (1, 1) for bench in benches)


class Boom(Exception):
    pass


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=25), st.integers(1, 6), st.none() | st.integers(0, 24))
def test_results_come_in_order_whatever_ends_first(waits: list[int], count: int, fails: int | None) -> None:
    def play(_: object, item: tuple[int, int], __: object) -> int:
        number, wait = item
        threading.Event().wait(wait / 1000)
        if number == fails:
            raise Boom
        return number * 2

    taken = []
    with lanes(count) as (made, benches):
        expected = (
            pytest.raises(Boom) if fails is not None and fails < len(waits) else contextlib.nullcontext()
        )
        with expected:
            for (number, _), result in made.in_order(play, enumerate(waits)):
                taken.append((number, result))
    upto = len(waits) if fails is None else min(fails, len(waits))
    assert taken == [(number, number * 2) for number in range(upto)]
    assert len(benches) <= count


def test_they_play_at_the_same_time() -> None:
    together = threading.Barrier(4)

    def play(*_: object) -> int:
        return together.wait(WAIT_SECONDS)

    with lanes(4) as (made, benches):
        assert sorted(result for _, result in made.in_order(play, range(4))) == [0, 1, 2, 3]
    assert len(benches) == 4


def test_whoever_stops_abandons_what_was_begun_ahead() -> None:
    told: list[bool] = []

    def play(_: object, number: int, until: Recallable) -> int:
        if number:
            wait_for(lambda: until.over)
            told.append(until.recalled)
        return number

    with lanes(3) as (made, _):
        with contextlib.closing(made.in_order(play, range(1000))) as played:
            assert next(played) == (0, 0)
        with contextlib.closing(
            made.in_order(play, [0])
        ) as played:  # the lanes are there for what comes next
            assert next(played) == (0, 0)
    assert 0 < len(told) <= 2
    assert all(told)


def test_one_lane_plays_in_the_thread_of_the_caller() -> None:
    def play(*_: object) -> threading.Thread:
        return threading.current_thread()

    with lanes(1) as (made, benches):
        assert list(made.in_order(play, "a")) == [("a", threading.current_thread())]
    with lanes(5) as (made, benches):
        assert list(made.in_order(play, "a", lanes=1)) == [("a", threading.current_thread())]
    assert benches == []


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until
        threading.Event().wait(0.001)


class TestFairness:
    """What was judged by silence while the machine fell behind is played once more."""

    def played(self, *, broken: bool, quiet: bool, late: bool, count: int = 2) -> int:
        plays = []
        run = SimpleNamespace(
            broken=("reliable",) if broken else (), naming=SimpleNamespace(quiet_at_end=quiet)
        )

        class Plays(Bench):
            def play(self, schedule: object, *, deadline: object, learn: bool = False) -> object:
                plays.append(schedule)
                if late and len(plays) == 1:
                    made._pulse.feel(time.monotonic(), late=True)
                return run

        with lanes(count) as (made, _):
            bench: Any = Plays()
            with made._pulse.seat():
                assert made.fairly(bench, Schedule([Subscribe()]), NO_DEADLINE) is run
        return len(plays)

    def test_a_loss_by_silence_on_a_late_machine_is_played_again(self) -> None:
        assert self.played(broken=True, quiet=True, late=True) == 2

    def test_on_a_machine_that_keeps_up_it_is_not(self) -> None:
        assert self.played(broken=True, quiet=True, late=False) == 1

    def test_what_no_waiting_would_mend_is_not(self) -> None:
        assert self.played(broken=True, quiet=False, late=True) == 1

    def test_what_was_kept_is_not(self) -> None:
        assert self.played(broken=False, quiet=True, late=True) == 1

    def test_one_lane_is_as_it_was(self) -> None:
        assert self.played(broken=True, quiet=True, late=True, count=1) == 1


class TestPulse:
    @given(st.lists(st.booleans(), max_size=40), st.integers(1, 12))
    def test_there_is_always_a_seat_and_never_too_many(self, beats: list[bool], most: int) -> None:
        pulse = Pulse(most)
        for number, late in enumerate(beats):
            before = pulse.seats
            pulse.feel(float(number), late=late)
            assert 1 <= pulse.seats <= most
            assert pulse.seats == (max(1, before // 2) if late else min(most, before + 1))

    def test_a_late_machine_lets_fewer_play(self) -> None:
        pulse = Pulse(2)
        pulse.feel(0.0, late=True)
        entered = threading.Event()

        def second() -> None:
            with pulse.seat():
                entered.set()

        with pulse.seat():
            thread = threading.Thread(target=second)
            thread.start()
            assert not entered.wait(0.05)
            pulse.feel(1.0, late=False)
            assert entered.wait(WAIT_SECONDS)
        thread.join()

    def test_alone_means_alone(self) -> None:
        pulse = Pulse(3)
        inside, most = [], []
        started = threading.Barrier(3)

        def play() -> None:
            with pulse.seat():
                started.wait(WAIT_SECONDS)
                with pulse.alone():
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()

        threads = [threading.Thread(target=play) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_SECONDS)
        assert most == [1, 1, 1]
        with pulse.seat():
            pass

    def test_lateness_is_measured(self) -> None:
        with contextlib.closing(Pulse(4)) as pulse:
            began = time.monotonic()
            pulse.start()
            wait_for(lambda: pulse._asked_at < float("inf"))
            pulse._asked_at -= 1.0  # as if it had been woken a second late
            wait_for(lambda: pulse.seats < 4)
            assert not pulse.on_time_since(began)


# -- whole proofs ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_is_played_and_found_first_for_any_number_of_lanes(toy: Any, server: Any, seed: int) -> None:
    class Lies(toy.RightStore):  # type: ignore[misc, name-defined]
        """Acknowledges a put of one key and does not make it, whatever the network does."""

        def put(self, key: str, value: str) -> None:
            if not key.endswith("c"):
                super().put(key, value)

    found = set()
    for count in (1, 3, 8):
        followed: list[verify.Progress] = []
        with pytest.raises(UpdateLost) as caught:
            verify.no_update_lost(
                Lies,
                server,
                seed=seed,
                settle=1.0,
                notice=None,
                lanes=count,
                faults=[Sever, Reset],
                progress=followed.append,
            )
        played = tuple(one.schedule for one in followed if one.stage == "playing")
        found.add((played, caught.value.broken))
    assert len(found) == 1


@pytest.mark.slow
def test_what_touches_the_server_goes_to_one_of_its_lane(toy: Any) -> None:
    class Server(toy.ToyServer):  # type: ignore[misc, name-defined]
        made: list[Any]
        touched = closed = 0

        def another(self) -> Any:
            self.made.append(Server())
            return self.made[-1]

        def compact(self) -> int:
            self.touched += 1
            revision: int = super().compact()
            return revision

        def restart(self) -> None:
            self.touched += 1
            super().restart()

        def close(self) -> None:
            self.closed += 1
            super().close()

    with Server() as server:
        server.made = []
        played: list[Schedule] = []
        report = verify.no_update_lost(
            toy.RightStore,
            server,
            seed=2,
            lanes=3,
            max_examples=30,
            notice=None,
            progress=lambda progress: played.append(progress.schedule),
        )
        assert report.examples == 30
        assert server.touched == 0
        assert (
            1 <= len(server.made) <= 4
        )  # one for each lane, and for the first play, which shows that it uses its address
        assert all(one.touched and one.closed for one in server.made)
        places = [place for place, one in enumerate(played) if touches_server(one)]
        assert places != list(range(30 - len(places), 30))  # in their turn, and not last


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, "2"])
def test_lanes_must_be_a_number(toy: Any, server: Any, bad: Any) -> None:
    for prove in (verify.no_update_lost, verify.sweep):
        with pytest.raises((TypeError, ValueError), match=f"lanes must be .* not {bad!r}"):
            prove(toy.RightStore, server, lanes=bad)  # type: ignore[operator]
