"""How long to wait before the next attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runtime_config._etcd import backoff
from runtime_config._etcd.backoff import Backoff


@given(st.integers(0, 5000), st.floats(0, 1))
def test_a_wait_is_never_zero_and_never_long(failures: int, luck: float) -> None:
    assert 0 < Backoff(failures).delay(lambda: luck) <= backoff.LARGEST


def test_a_good_connection_starts_from_the_beginning_and_a_bad_one_does_not() -> None:
    worn = Backoff(7)
    assert worn.after(0.1, moved=False) == Backoff(8)
    assert worn.after(0.1, moved=True) == Backoff()
    assert worn.after(backoff.GOOD_AFTER, moved=False) == Backoff()
