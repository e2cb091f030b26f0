"""The stages of the toxics under virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.proxy.stage import Ending, Item, Stage
from pytest_netfault.serve.stages import LimitStage, SlicerStage, SlowCloseStage, SwallowStage


def pulled(stage: Stage, now: float = 0.0) -> list[Item]:
    items = []
    while (item := stage.pull(now)) is not None:
        items.append(bytes(item) if isinstance(item, (bytes, memoryview)) else item)
    return items


@given(st.binary(min_size=1, max_size=5_000), st.integers(1, 300), st.integers(0, 300))
def test_a_slicer_loses_nothing_and_makes_pieces_that_are_small_enough(
    text: bytes, average: int, variation: int
) -> None:
    variation = min(variation, average)
    stage = SlicerStage(average, variation, 0, key="k", position=0)
    stage.push(0, text)
    pieces = pulled(stage)
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == text
    assert all(isinstance(piece, bytes) and 1 <= len(piece) <= average + variation for piece in pieces)


def test_a_slicer_of_single_bytes_makes_no_piece_before_it_is_taken() -> None:
    stage = SlicerStage(1, 0, 0, key="k", position=0)
    stage.push(0, bytes(512 * 1024))
    assert [stage.pull(0), stage.pull(0)] == [b"\0", b"\0"]
    assert len(stage.queue) == 1
    assert stage.held == 512 * 1024 - 2


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=5), st.integers(0, 60))
def test_a_slicer_gives_up_what_it_has_not_passed(chunks: list[bytes], pulls: int) -> None:
    stage = SlicerStage(3, 2, 0, key="k", position=0)
    for chunk in chunks:
        stage.push(0, chunk)
    stage.push(0, Ending.FIN)
    came = [item for _ in range(pulls) if (item := stage.pull(0)) is not None]
    came += stage.drain()
    assert b"".join(item for item in came if isinstance(item, (bytes, memoryview))) == b"".join(chunks)
    assert came[-1] is Ending.FIN
    assert stage.held == 0


def test_a_slicer_waits_after_each_piece() -> None:
    stage = SlicerStage(2, 0, 1.0, key="k", position=0)
    stage.push(0, b"abcd")
    stage.push(0, Ending.FIN)
    assert pulled(stage, 0) == [b"ab"]
    assert stage.wake() == 1
    assert pulled(stage, 1) == [b"cd"]
    assert pulled(stage, 2) == [Ending.FIN]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.integers(0, 300))
def test_a_limit_passes_exactly_so_many_bytes(chunks: list[bytes], limit: int) -> None:
    stage = LimitStage(limit)
    passed = b""
    for chunk in chunks:
        stage.push(0, chunk)
        passed += b"".join(item for item in pulled(stage) if isinstance(item, bytes))
    whole = b"".join(chunks)
    assert passed == whole[:limit]
    assert stage.reached is (len(whole) >= max(limit, 1))


def test_a_limit_lets_the_end_pass() -> None:
    stage = LimitStage(5)
    stage.push(0, b"abc")
    stage.push(0, Ending.FIN)
    assert pulled(stage) == [b"abc", Ending.FIN]


def test_slow_close_delays_only_a_fin() -> None:
    stage = SlowCloseStage(2.0)
    stage.push(1, b"now")
    stage.push(1, Ending.FIN)
    assert pulled(stage, 1) == [b"now"]
    assert stage.wake() == 3
    assert pulled(stage, 2.9) == []
    stage.push(2.9, Ending.RST)
    assert pulled(stage, 2.9) == [Ending.FIN, Ending.RST]


@pytest.mark.parametrize(("seconds", "ends_at"), [(None, None), (2.0, 12.0)])
def test_swallowing_counts_from_when_it_took_hold(seconds: float | None, ends_at: float | None) -> None:
    stage = SwallowStage(10.0, seconds, "fin")
    stage.push(11, b"gone")
    stage.push(11, Ending.FIN)
    assert pulled(stage) == []
    assert stage.met
    assert stage.drain() == [Ending.FIN]
    later = SwallowStage(99.0, seconds, "fin")
    later.take_over(stage)
    assert later.ends_at == ends_at
