"""Each stage under virtual time, as a conversation: what goes in when, and what comes out when.

``play`` pushes items at their times, pulls whenever the stage asked to be woken, and returns what came out
with the time it came at. No sockets, no clock: an hour passes in a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.proxy.cuts import CutStage
from pytest_netfault.proxy.stage import Added, CutHere, Ending, Item, Stage
from pytest_netfault.proxy.stages import (
    QUEUE_LIMIT,
    CorruptStage,
    DelayStage,
    HoldStage,
    SliceStage,
    ThrottleStage,
)

FIN, RST = Ending.FIN, Ending.RST
Heard = list[tuple[float, object]]


def plain(item: Item) -> object:
    return bytes(item) if isinstance(item, (bytes, memoryview)) else item


def pull_all(stage: Stage, now: float) -> list[object]:
    out = []
    while (item := stage.pull(now)) is not None:
        out.append(plain(item))
    return out


def play(stage: Stage, said: Iterable[tuple[float, Item]], until: float = 1e9) -> Heard:
    """Push what is said at its time; pull then and whenever the stage asked for it."""
    heard: Heard = []

    def pull(now: float) -> None:
        heard.extend((now, item) for item in pull_all(stage, now))

    now = 0.0
    for when, item in said:
        while (wake := stage.wake()) is not None and wake < when:
            now = max(now, wake)
            pull(now)
        now = max(now, when)
        stage.push(now, item)
        pull(now)
    while (wake := stage.wake()) is not None and wake <= until:
        now = max(now, wake)
        pull(now)
    return heard


def joined(items: Iterable[object]) -> bytes:
    return b"".join(item for item in items if isinstance(item, bytes))


chunked = st.lists(st.binary(min_size=1, max_size=40), max_size=12)


def stages(position: int = 0) -> st.SearchStrategy[Stage]:
    """Every kind of stage that lets bytes through unchanged."""
    return st.one_of(
        st.builds(Stage),
        st.builds(HoldStage),
        st.builds(
            lambda seconds, jitter: DelayStage(seconds, jitter, key="k", position=position),
            st.floats(0, 100),
            st.floats(0, 100),
        ),
        st.builds(ThrottleStage, st.floats(0.01, 1e6)),
        st.builds(SliceStage, st.integers(1, 20), st.sampled_from([0.0, 0.5])),
        st.builds(lambda after: CutStage(after, "fin", position=position), st.integers(0, 200)),
        st.builds(lambda: CorruptStage(0.0, key="k", position=position)),
    )


class TestEveryStage:
    @given(
        st.one_of(stages(), stages(position=100)),
        chunked,
        st.sampled_from([FIN, RST, None]),
        st.integers(0, 20),
    )
    def test_what_goes_in_comes_out_once_in_order_whenever_it_is_healed(
        self, stage: Stage, chunks: list[bytes], ending: Ending | None, pulls: int
    ) -> None:
        said: list[Item] = [*chunks, *([ending] if ending else [])]
        out: list[object] = []
        now = 0.0
        for item in said:
            stage.push(now, item)
            for _ in range(pulls % 3):
                now += 0.3
                if (let_out := stage.pull(now)) is not None:
                    out.append(plain(let_out))
        out += [plain(item) for item in stage.drain()]
        out = [item for item in out if not isinstance(item, CutHere)]
        assert joined(out) == b"".join(chunks)
        endings = [item for item in out if isinstance(item, Ending)]
        assert endings == ([ending] if ending else [])
        if ending:
            assert out[-1] is ending
        assert stage.held == 0
        assert not stage.drain()

    @given(stages(), chunked)
    def test_held_is_the_sum_of_what_is_kept(self, stage: Stage, chunks: list[bytes]) -> None:
        now = 0.0
        for chunk in chunks:
            stage.push(now, chunk)
            now += 0.01
            stage.pull(now)
            kept = [*stage.queue, *getattr(stage, "_rest", ())]  # a cut keeps what comes behind it apart
            assert stage.held == sum(len(item) for item in kept if isinstance(item, (bytes, memoryview)))

    @given(stages().filter(lambda stage: not isinstance(stage, CutStage)))
    def test_an_empty_stage_asks_for_nothing_and_has_met_nothing(self, stage: Stage) -> None:
        assert stage.pull(1.0) is None
        assert stage.wake() is None
        assert not stage.met

    @given(stages().filter(lambda stage: not isinstance(stage, (HoldStage, CutStage))), chunked)
    def test_whoever_wakes_when_asked_gets_everything_without_healing(
        self, stage: Stage, chunks: list[bytes]
    ) -> None:
        said: list[tuple[float, Item]] = [(0.1 * n, chunk) for n, chunk in enumerate(chunks)]
        heard = play(stage, [*said, (2.0, FIN)])
        assert joined(item for _, item in heard) == b"".join(chunks)
        assert heard[-1][1] is FIN


class TestHold:
    def test_bytes_and_endings_stay_until_it_is_healed(self) -> None:
        stage = HoldStage()
        assert play(stage, [(0, b"a"), (5, RST)]) == []
        assert stage.full(9)
        assert stage.met
        assert stage.drain() == [b"a", RST]


class TestDelay:
    def test_each_item_is_late_by_its_own_arrival(self) -> None:
        stage = DelayStage(10, 0, key="k", position=0)
        heard = play(stage, [(0, b"a"), (1, b"b"), (4, FIN)])
        assert heard == [(10, b"a"), (11, b"b"), (14, FIN)]

    def test_lateness_does_not_pile_up_when_many_are_in_flight(self) -> None:
        stage = DelayStage(10, 0, key="k", position=0)
        heard = play(stage, [(n * 0.001, b"x") for n in range(1000)])
        assert max(when - n * 0.001 for n, (when, _) in enumerate(heard)) == pytest.approx(10)

    def test_zero_seconds_let_everything_pass_at_once(self) -> None:
        assert play(DelayStage(0, 0, key="k", position=0), [(3, b"a")]) == [(3, b"a")]

    @given(st.integers(0, 2**40), st.floats(0, 100), st.floats(0, 100))
    def test_jitter_stays_within_its_bounds_and_never_below_zero(
        self, position: int, seconds: float, jitter: float
    ) -> None:
        late = DelayStage(seconds, jitter, key="k", position=0).lateness(position)
        assert max(0.0, seconds - jitter) <= late <= seconds + jitter

    def test_jitter_spreads_evenly(self) -> None:
        stage = DelayStage(10, 4, key="k", position=0)
        drawn = [stage.lateness(position) for position in range(4000)]
        assert sum(drawn) / len(drawn) == pytest.approx(10, abs=0.2)
        for low in (6, 8, 10, 12):
            assert 800 < sum(low <= late < low + 2 for late in drawn) < 1200

    def test_jitter_depends_on_key_and_position_alone(self) -> None:
        one, other = (DelayStage(1, 1, key="k", position=start) for start in (0, 7))
        assert one.lateness(123) == other.lateness(123)
        assert DelayStage(1, 1, key="l", position=0).lateness(123) != one.lateness(123)

    @given(chunked.filter(bool), st.floats(0, 5), st.floats(0, 5))
    def test_order_is_kept_whatever_the_jitter(
        self, chunks: list[bytes], seconds: float, jitter: float
    ) -> None:
        heard = play(
            DelayStage(seconds, jitter, key="k", position=0),
            [*((0.01 * n, chunk) for n, chunk in enumerate(chunks)), (1, FIN)],
        )
        assert [item for _, item in heard] == [*chunks, FIN]
        assert [when for when, _ in heard] == sorted(when for when, _ in heard)

    def test_what_a_fault_added_does_not_shift_positions(self) -> None:
        with_added, without = (DelayStage(5, 5, key="k", position=0) for _ in range(2))
        with_added.push(0, Added(b"xyz"))
        for stage in (with_added, without):
            stage.push(0, b"12345")
            stage.push(100, b"67890")
        assert list(with_added._due)[-1] == list(without._due)[-1]

    def test_it_never_asks_for_silence_the_link_bounds_what_is_under_way(self) -> None:
        stage = DelayStage(10, 0, key="k", position=0)
        block = bytes(1024 * 1024)
        for _ in range(1000):
            stage.push(0, block)
        assert not stage.full(0)
        assert stage.held == 1000 * len(block)


class TestThrottle:
    @given(
        st.floats(1, 1e6),
        st.lists(st.tuples(st.floats(0, 2), st.binary(min_size=1, max_size=500)), min_size=1, max_size=10),
        st.lists(st.floats(0, 3), max_size=20),
    )
    def test_never_more_than_the_rate_since_the_line_was_last_idle(
        self, rate: float, pauses: list[tuple[float, bytes]], late: list[float]
    ) -> None:
        """Whenever it is asked, also late and irregularly."""
        stage = ThrottleStage(rate)
        now, busy_since, passed = 0.0, 0.0, 0
        waits = iter(late)
        for pause, chunk in pauses:
            now += pause
            if not stage.queue:
                busy_since, passed = now, 0
            stage.push(now, chunk)
            now += next(waits, 0.0)
            passed += len(joined(pull_all(stage, now)))
            assert passed <= rate * (now - busy_since) * (1 + 1e-9) + 1e-6

    def test_a_steady_stream_gets_the_rate_and_no_less(self) -> None:
        heard = play(ThrottleStage(1000), [(0, bytes(5000)), (0, FIN)])
        assert heard[-1][1] is FIN
        assert heard[-1][0] == pytest.approx(5.0)

    def test_idle_time_is_not_saved_up(self) -> None:
        heard = play(ThrottleStage(100), [(0, bytes(10)), (1000, bytes(100))])
        assert heard[-1][0] == pytest.approx(1001)

    def test_time_in_which_the_receiver_took_nothing_is_not_saved_up_either(self) -> None:
        """The line stood still: when it moves again, it carries its rate and not the sum of the pause."""
        stage = ThrottleStage(1000)
        stage.push(0, bytes(10_000))
        assert len(joined(pull_all(stage, 1.0))) <= 1000
        after_a_pause = joined(pull_all(stage, 9.0))
        assert len(after_a_pause) <= 1000
        assert len(joined(pull_all(stage, 9.5))) <= 510

    def test_a_slow_line_lets_single_bytes_through(self) -> None:
        heard = play(ThrottleStage(2), [(0, b"abc")])
        assert heard == [(0.5, b"a"), (1.0, b"b"), (1.5, b"c")]

    @pytest.mark.parametrize("rate", [1e-300, 5e-324, 2.0**63])
    def test_rates_at_the_ends_of_the_scale_neither_fail_nor_spin(self, rate: float) -> None:
        stage = ThrottleStage(rate)
        stage.push(0, b"abc")
        wake = stage.wake()
        assert wake is not None
        assert wake >= 0
        assert (stage.pull(1.0) is None) == (rate < 1)

    def test_it_keeps_little(self) -> None:
        stage = ThrottleStage(10)
        stage.push(0, bytes(QUEUE_LIMIT - 1))
        assert not stage.full(0)
        stage.push(0, b"x")
        assert stage.full(0)


class TestSlice:
    @given(chunked, st.integers(1, 50))
    def test_no_piece_is_larger_than_the_size(self, chunks: list[bytes], size: int) -> None:
        heard = play(SliceStage(size, 0), [(0, chunk) for chunk in chunks])
        assert all(len(item) <= size for _, item in heard if isinstance(item, bytes))
        assert joined(item for _, item in heard) == b"".join(chunks)

    def test_pieces_come_a_gap_apart_and_the_ending_after_them(self) -> None:
        heard = play(SliceStage(2, 1.0), [(0, b"abcde"), (0, FIN)])
        assert heard == [(0, b"ab"), (1, b"cd"), (2, b"e"), (3, FIN)]

    def test_the_gap_holds_between_chunks_too(self) -> None:
        heard = play(SliceStage(10, 1.0), [(0, b"a"), (0.2, b"b")])
        assert heard == [(0, b"a"), (1.0, b"b")]

    def test_added_bytes_stay_added_when_sliced(self) -> None:
        stage = SliceStage(2, 0)
        stage.push(0, Added(b"abc"))
        pieces = [stage.pull(0), stage.pull(0)]
        assert pieces == [b"ab", b"c"]
        assert all(isinstance(piece, Added) for piece in pieces)


class TestCorrupt:
    @given(st.binary(min_size=1, max_size=3000), st.lists(st.integers(1, 500)), st.floats(0, 1))
    def test_the_same_bytes_are_damaged_whatever_the_chunks(
        self, data: bytes, cuts: list[int], probability: float
    ) -> None:
        whole = play(CorruptStage(probability, key="k", position=0), [(0, data)])
        chunks, rest = [], data
        for cut in cuts:
            chunks.append(rest[:cut])
            rest = rest[cut:]
        chunks.append(rest)
        parts = play(
            CorruptStage(probability, key="k", position=0), [(0, chunk) for chunk in chunks if chunk]
        )
        assert joined(item for _, item in parts) == joined(item for _, item in whole)

    @given(st.integers(0, 20_000), st.floats(0, 1))
    def test_a_fault_that_comes_late_damages_the_positions_that_it_would_have_damaged(
        self, position: int, probability: float
    ) -> None:
        data = bytes(position + 100)
        from_start = joined(
            item for _, item in play(CorruptStage(probability, key="k", position=0), [(0, data)])
        )
        late = CorruptStage(probability, key="k", position=position)
        heard = play(late, [(0, data[position:])])
        assert joined(item for _, item in heard) == from_start[position:]

    @pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.997, 1.0])
    def test_as_many_as_the_probability_says(self, probability: float) -> None:
        size = 400_000
        damaged = play(CorruptStage(probability, key="seed", position=0), [(0, bytes(size))])
        changed = size - joined(item for _, item in damaged).count(0)
        spread = math.sqrt(size * probability * (1 - probability))
        assert abs(changed - size * probability) <= 5 * spread

    @pytest.mark.parametrize("probability", [1e-9, 0.5, 1.0])
    def test_to_start_far_into_a_stream_costs_nothing(self, probability: float) -> None:
        """Counted in draws it would be a petabyte of them: this would not return today."""
        stage = CorruptStage(probability, key="k", position=2**50)
        stage.push(0, b"abc")
        assert len(plain(stage.pull(0))) == 3  # type: ignore[arg-type]

    def test_certainty_changes_each_byte(self) -> None:
        heard = play(CorruptStage(1.0, key="k", position=0), [(0, b"\0" * 10_000)])
        assert b"\0" not in joined(item for _, item in heard)

    def test_another_key_damages_others(self) -> None:
        one, other = (play(CorruptStage(0.5, key=key, position=0), [(0, bytes(100))]) for key in "kl")
        assert one != other

    def test_added_bytes_are_left_alone_and_do_not_shift_positions(self) -> None:
        stage, alone = (CorruptStage(1.0, key="k", position=0) for _ in range(2))
        heard = play(stage, [(0, Added(b"xyz")), (0, b"abc")])
        assert heard == [(0, b"xyz"), *play(alone, [(0, b"abc")])]


class TestCut:
    @given(chunked, st.integers(0, 300), st.integers(0, 50))
    def test_exactly_so_many_bytes_pass_whatever_the_chunks(
        self, chunks: list[bytes], after: int, position: int
    ) -> None:
        data = b"".join(chunks)
        stage = CutStage(after, "fin", position=position)
        heard = play(stage, [*((0.0, chunk) for chunk in chunks), (0, FIN)])
        passed = joined(item for _, item in heard)
        if len(data) + position >= after and after > position:
            assert passed == data[: after - position]
            assert isinstance(heard[-1][1], CutHere)
            assert FIN not in [item for _, item in heard]
            assert stage.full(0)
        elif after > position:
            assert passed == data
            assert heard[-1][1] is FIN
            assert not stage.full(0)

    def test_what_is_behind_the_cut_comes_back_when_it_is_healed(self) -> None:
        stage = CutStage(3, "blackhole", position=0)
        heard = play(stage, [(0, b"abcde"), (0, b"f"), (0, FIN)])
        assert [item for _, item in heard][:-1] == [b"abc"]
        assert [plain(item) for item in stage.drain()] == [b"de", b"f", FIN]
        assert stage.healed

    def test_added_bytes_do_not_count(self) -> None:
        heard = play(CutStage(2, "fin", position=0), [(0, b"a"), (0, Added(b"xx")), (0, b"bc")])
        assert [item for _, item in heard][:-1] == [b"a", b"xx", b"b"]

    @pytest.mark.parametrize(("after", "position"), [(0, 0), (5, 5), (5, 9)])
    def test_a_position_that_was_reached_already_is_cut_before_anything_passes(
        self, after: int, position: int
    ) -> None:
        stage = CutStage(after, "fin", position=position)
        assert stage.reached
        assert stage.met
        heard = play(stage, [(0, b"abc"), (0, FIN)])
        assert [type(item) for _, item in heard] == [CutHere]
        assert [plain(item) for item in stage.drain()] == [b"abc", FIN]

    def test_it_has_met_traffic_only_once_it_cuts(self) -> None:
        stage = CutStage(3, "fin", position=0)
        stage.push(0, b"ab")
        assert not stage.met
        stage.push(0, b"c")
        assert stage.met

    def test_the_cut_comes_with_the_last_byte_and_not_with_the_next_one(self) -> None:
        heard = play(CutStage(3, "fin", position=0), [(0, b"abc")])
        assert [type(item) for _, item in heard] == [bytes, CutHere]
