"""A flow under virtual time: many stages, one order, and bounded memory.

``Talk`` plays both sockets: it hands in what the source sent, and takes out what the sink would get.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.proxy.cuts import CutStage
from pytest_netfault.proxy.flow import OUT_LIMIT, OUT_PIECES, STAGE_PIECES, Flow
from pytest_netfault.proxy.stage import Added, Ending, Item, Stage, counted
from pytest_netfault.proxy.stages import DelayStage, HoldStage, SliceStage, ThrottleStage


class Talk:
    """The sockets at both ends of a flow, and a clock."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.now = 0.0
        self.got: list[Item] = []
        self.delivered = 0

    def says(self, item: Item) -> None:
        self.flow.push(self.now, item)

    def takes(self, most: int | None = None) -> bytes:
        """The sink takes up to ``most`` bytes; returns all it has got so far."""
        while (item := self.flow.next(self.now)) is not None and (most is None or most > 0):
            size = len(item) if isinstance(item, (bytes, memoryview)) else 0
            part = size if most is None else min(size, most)
            self.got.append(bytes(item[:part]) if isinstance(item, (bytes, memoryview)) else item)
            self.delivered += self.flow.took(part)
            if most is not None:
                most -= part
        return self.heard

    @property
    def heard(self) -> bytes:
        return b"".join(item for item in self.got if isinstance(item, bytes))

    @property
    def endings(self) -> list[Item]:
        return [item for item in self.got if isinstance(item, Ending)]


def delay(seconds: float) -> DelayStage:
    return DelayStage(seconds, 0, key="k", position=0)


class TestOrder:
    def test_what_an_older_fault_holds_does_not_slip_past_a_later_one(self) -> None:
        talk = Talk()
        talk.flow.add(0, delay(1))
        talk.says(b"held by the delay")
        hold = HoldStage()
        talk.flow.add(0, hold)
        talk.now = 100
        assert talk.takes() == b""
        talk.flow.remove(talk.now, hold)
        assert talk.takes() == b"held by the delay"

    def test_what_waits_for_the_receiver_does_not_slip_past_either(self) -> None:
        talk = Talk()
        talk.says(b"abcdef")
        assert talk.takes(2) == b"ab"
        talk.flow.add(0, HoldStage())
        assert talk.takes() == b"ab"
        assert talk.flow.held == 4

    def test_healing_an_older_fault_leaves_what_it_held_to_the_later_ones(self) -> None:
        talk = Talk()
        first, second = delay(10), delay(5)
        talk.flow.add(0, first)
        talk.says(b"a")
        talk.flow.add(0, second)
        talk.flow.remove(0, first)
        talk.now = 4.9
        assert talk.takes() == b""
        talk.now = 5
        assert talk.takes() == b"a"

    def test_an_ending_stays_behind_the_bytes_when_a_fault_between_them_is_healed(self) -> None:
        talk = Talk()
        stage = delay(10)
        talk.flow.add(0, stage)
        talk.says(b"abc")
        talk.says(Ending.RST)
        talk.flow.remove(0, stage)
        talk.takes()
        assert talk.got == [b"abc", Ending.RST]

    def test_a_cut_travels_through_later_faults(self) -> None:
        talk = Talk()
        cut = CutStage(2, "fin", position=0)
        talk.flow.add(0, cut)
        talk.flow.add(0, delay(1))
        talk.says(b"abc")
        assert talk.takes() == b""
        talk.now = 1
        assert talk.takes() == b"ab"
        assert len(talk.got) == 2  # the bytes, and the cut behind them

    def test_removing_a_stage_of_a_cleared_flow_hands_nothing_on(self) -> None:
        talk = Talk()
        hold = HoldStage()
        talk.flow.add(0, hold)
        talk.says(b"abc")
        talk.flow.clear()
        talk.flow.remove(0, hold)
        assert talk.takes() == b""
        assert talk.flow.empty


MAKERS: list[Callable[[], Stage]] = [
    Stage,
    HoldStage,
    lambda: delay(0.5),
    lambda: DelayStage(0.3, 0.3, key="k", position=0),
    lambda: ThrottleStage(200),
    lambda: SliceStage(3, 0),
    lambda: SliceStage(7, 0.05),
]


class TestAnyStack:
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("says"), st.binary(min_size=1, max_size=30)),
                st.tuples(st.just("waits"), st.floats(0, 2)),
                st.tuples(st.just("takes"), st.integers(1, 40)),
                st.tuples(st.just("adds"), st.sampled_from(range(len(MAKERS)))),
                st.tuples(st.just("heals"), st.integers(0, 5)),
            ),
            max_size=40,
        ),
        st.sampled_from(list(Ending)),
    )
    def test_all_bytes_and_then_the_ending_arrive_once_all_is_healed(
        self, steps: list[tuple[str, object]], ending: Ending
    ) -> None:
        talk, said = Talk(), b""
        for verb, what in steps:
            if verb == "says" and isinstance(what, bytes):
                talk.says(what)
                said += what
            elif verb == "waits" and isinstance(what, float):
                talk.now += what
            elif verb == "takes" and isinstance(what, int):
                assert said.startswith(talk.takes(what))
            elif verb == "adds" and isinstance(what, int):
                talk.flow.add(talk.now, MAKERS[what]())
            elif verb == "heals" and isinstance(what, int) and what < len(talk.flow.stages):
                talk.flow.remove(talk.now, talk.flow.stages[what])
            assert talk.flow.held == len(said) - len(talk.heard)
        talk.says(ending)
        for stage in list(talk.flow.stages):
            talk.flow.remove(talk.now, stage)
        assert talk.takes() == said
        assert talk.got[-1] is ending
        assert talk.endings == [ending]
        assert talk.delivered == len(said)
        assert talk.flow.empty
        assert talk.flow.plain

    @given(st.lists(st.sampled_from([maker for maker in MAKERS if maker is not HoldStage]), max_size=4))
    def test_waking_when_asked_brings_everything_without_healing(
        self, makers: list[Callable[[], Stage]]
    ) -> None:
        talk = Talk()
        for maker in makers:
            talk.flow.add(0, maker())
        talk.says(bytes(range(100)))
        talk.says(Ending.FIN)
        talk.takes()
        turns = 0
        while (wake := talk.flow.wake(talk.now)) is not None:
            assert wake >= talk.now
            talk.now = wake
            talk.takes()
            turns += 1
            assert turns < 1000, "it spins"
        assert talk.heard == bytes(range(100))
        assert talk.got[-1] is Ending.FIN


class TestCounting:
    def test_added_bytes_are_delivered_but_not_counted(self) -> None:
        talk = Talk()
        talk.says(b"ab")
        talk.says(Added(b"xyz"))
        talk.takes(3)
        talk.takes(1)
        talk.takes()
        assert talk.heard == b"abxyz"
        assert talk.delivered == 2

    def test_a_part_of_added_bytes_stays_added(self) -> None:
        talk = Talk()
        talk.says(Added(b"xyz"))
        talk.takes(1)
        item = talk.flow.next(0)
        assert item == b"yz"
        assert item is not None
        assert counted(item) == 0


class TestMemory:
    def test_reading_stops_when_the_receiver_takes_nothing(self) -> None:
        talk = Talk()
        for _ in range(OUT_LIMIT // 1024 - 1):
            talk.says(bytes(1024))
        assert not talk.flow.full(0)
        talk.says(bytes(1024))
        assert talk.flow.full(0)

    def test_what_a_delay_has_let_out_counts_as_backlog(self) -> None:
        talk = Talk()
        talk.flow.add(0, delay(1))
        talk.says(bytes(OUT_LIMIT))
        assert not talk.flow.full(0.5)
        assert talk.flow.full(1.0)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "later", [delay(3600), ThrottleStage(1), HoldStage()], ids=lambda s: type(s).__name__
    )
    def test_single_bytes_do_not_pile_up_behind_a_slow_fault(self, later: Stage) -> None:
        """A reader that never reads, a sender that never stops: pieces are bounded as bytes are."""
        talk = Talk()
        talk.flow.add(0, SliceStage(1, 0))
        talk.flow.add(0, later)
        reads = 0
        while not talk.flow.full(talk.now) or talk.flow.wake(talk.now) == talk.now:
            if not talk.flow.full(talk.now):
                talk.says(bytes(64 * 1024))
                reads += 1
            talk.now += 0.001
            assert reads < 100
        assert len(later.queue) <= STAGE_PIECES
        assert len(talk.flow.stages[0].queue) <= 3

    def test_one_advance_is_short_whatever_there_is_to_do(self) -> None:
        talk = Talk()
        talk.flow.add(0, SliceStage(1, 0))
        talk.flow.add(0, Stage())
        talk.says(bytes(256 * 1024))
        talk.flow.advance(0)
        assert len(talk.flow.out) == OUT_PIECES
        assert len(talk.flow.stages[1].queue) == 0
        assert talk.flow.wake(0) == 0, "there is more to do at once"

    @settings(max_examples=20)
    @given(st.integers(1, 5))
    def test_a_deep_stack_of_slices_stays_fast(self, depth: int) -> None:
        talk = Talk()
        for _ in range(depth):
            talk.flow.add(0, SliceStage(16, 0))
        talk.says(bytes(64 * 1024))
        started = time.process_time()
        talk.takes()
        assert len(talk.heard) == 64 * 1024
        assert time.process_time() - started < 5
