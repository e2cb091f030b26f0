"""Whatever the server sends and repeats: whole transactions, each once, in rising order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_config._etcd.records import RawChange
from runtime_config._feed.cursor import Batch, Cursor


def change(key: str, revision: int) -> RawChange:
    return RawChange(key.encode(), b"v", revision)


def test_fragments_are_joined() -> None:
    cursor = Cursor(2)
    assert cursor.take([change("a", 2)], more=True) == []
    assert cursor.take([change("b", 2)], more=False) == [Batch(2, (change("a", 2), change("b", 2)))]


def test_what_was_delivered_is_dropped() -> None:
    cursor = Cursor(2)
    cursor.delivered(5)
    assert cursor.take([change("a", 4), change("a", 5), change("a", 6)], more=False) == [
        Batch(6, (change("a", 6),))
    ]


def test_only_delivery_moves_the_cursor() -> None:
    cursor = Cursor(2)
    cursor.take([change("a", 9)], more=False)
    assert cursor.next == 2
    cursor.delivered(9)
    assert cursor.next == 10
    cursor.delivered(4)
    assert cursor.next == 10


def test_half_a_transaction_dies_with_its_stream() -> None:
    cursor = Cursor(2)
    cursor.take([change("a", 2)], more=True)
    cursor.stream_ended()
    whole = [change("a", 2), change("b", 2)]
    assert cursor.take(whole, more=False) == [Batch(2, tuple(whole))]


def test_a_listing_may_go_back() -> None:
    cursor = Cursor(50)
    cursor.restart(3)
    assert cursor.take([change("a", 3)], more=False) == [Batch(3, (change("a", 3),))]


@pytest.mark.parametrize("revision", [0, -1])
def test_there_is_no_watching_from_now_on(revision: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Cursor(revision)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    cuts=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), max_size=6),
    chunk=st.integers(1, 5),
)
def test_any_cuts_and_repeats_give_the_log(sizes: list[int], cuts: list[tuple[int, int]], chunk: int) -> None:
    """The log goes over streams which end anywhere; each resumes at the cursor or (a bad server) some way
    before it."""
    log = [change(f"k{n}", revision) for revision, size in enumerate(sizes, 2) for n in range(size)]
    cursor = Cursor(2)
    got: list[RawChange] = []
    for length, back in [*cuts, (len(log) + 60, 0)]:
        sent = [one for one in log if one.revision >= cursor.next - back][:length]
        for at in range(0, len(sent), chunk):
            piece = sent[at : at + chunk]
            rest = [
                one for one in log if one.revision == piece[-1].revision and one not in sent[: at + chunk]
            ]
            for batch in cursor.take(piece, more=bool(rest)):
                got.extend(batch.changes)
                cursor.delivered(batch.revision)
        cursor.stream_ended()
    assert got == log
