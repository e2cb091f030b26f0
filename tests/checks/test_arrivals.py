"""What counts as an update that arrived under a fault; each case differs from its neighbour in one thing."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault.checks.arrivals import count_arrivals
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Filter,
    LogEvent,
    Resynced,
    Revision,
    Trace,
    TraceEvent,
)

LOG = tuple(Revision(n, (LogEvent("put", "r.k", str(n)),)) for n in (2, 3))


def put(revision: int, key: str = "r.k") -> Delivered:
    return Delivered((TraceEvent("put", key, str(revision), revision),))


def counted(*stream: Any, start: int = 1, log: Any = LOG, since: float | None = 5.0) -> tuple[int, int]:
    """The items come one second apart, the first at 4: before the fault, which came at 5."""
    trace = Trace("every-event", Filter("r.", prefix=True), start, log, stream, quiet_at_end=True)
    return count_arrivals(trace, [4.0 + number for number in range(len(stream))], since)


@pytest.mark.parametrize(
    ("stream", "arrived"),
    [
        ([put(2), put(3)], 1),
        ([put(2)], 0),
        ([Bookmarked(1), put(2), put(3)], 2),
        ([put(2), put(2)], 0),  # what is repeated had arrived before the fault
        ([put(2), put(9)], 0),  # nobody made it
        ([put(2), Bookmarked(3)], 0),
        ([put(2), Resynced(3, {})], 1),
        ([put(2), Resynced(2, {})], 0),  # it holds only what had arrived
        ([Resynced(3, {}), Resynced(3, {})], 0),
    ],
)
def test_the_first_arrival_of_an_expected_update_counts(stream: list[Any], arrived: int) -> None:
    assert counted(*stream) == (2, arrived)


def test_nothing_counts_without_a_fault_that_met_traffic() -> None:
    assert counted(put(2), put(3), since=None) == (2, 0)


def test_what_was_there_at_the_start_is_not_expected() -> None:
    assert counted(put(2), put(3), start=2) == (1, 1)
    assert counted(put(2), put(3), start=3) == (0, 0)


def test_what_is_outside_the_subscription_is_not_expected() -> None:
    beside = (Revision(2, (LogEvent("put", "rx.k", "2"),)),)
    assert counted(put(1), put(2, "rx.k"), log=beside) == (0, 0)
