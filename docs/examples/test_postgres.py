"""Which ways to follow changes in PostgreSQL lose updates, with psycopg and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_netfault import (
    Break,
    Cut,
    NetFault,
    Schedule,
    Sever,
    Subscribe,
    UpdateLost,
    WaitForEvents,
    Write,
    verify,
)

pytest.importorskip("psycopg", reason="the package psycopg is not installed")

if TYPE_CHECKING:
    import postgres_stores

COMMIT = b"Q\0\0\0\x0bCOMMIT\0"  # how libpq says it


@pytest.fixture
def postgres_log(postgres_address: str) -> Iterator[postgres_stores.PostgresLog]:
    from postgres_stores import PostgresLog

    server = PostgresLog(postgres_address)
    yield server
    server.close()


def slow_commit(open_store: type[postgres_stores.Follower], address: str, net: NetFault) -> Schedule:
    """Two transactions: the first one's COMMIT is held until the second one was seen."""
    link = net.forward(address)
    store = open_store(link.address)
    store.put("r0000000000.a", "v0")  # as long as the keys and values of a run
    [connection] = link.connections
    before_commit = connection.bytes_up - len(COMMIT)
    store.close()
    held = Cut(before_commit, direction="up", connection=2, how="blackhole")
    return Schedule(
        [
            Subscribe(),
            Break(held),
            Write("a", via="link"),
            Write("b"),
            WaitForEvents(),
            WaitForEvents(),
            WaitForEvents(),
        ]
    )


def test_listen_loses_what_is_notified_while_nobody_listens(
    postgres_log: postgres_stores.PostgresLog,
) -> None:
    from postgres_stores import NotifyStore

    with pytest.raises(
        UpdateLost, match=r"An update was lost: revision \d+ \(put 'a' = 'v3'\) never reached"
    ):
        verify.replay(
            NotifyStore, postgres_log, Schedule([Subscribe(), Break(Sever()), Write("a")]), settle=4.0
        )


def test_polling_by_number_loses_a_row_whose_transaction_commits_late(
    postgres_log: postgres_stores.PostgresLog, netfault: NetFault
) -> None:
    from postgres_stores import NumberPollStore

    schedule = slow_commit(NumberPollStore, postgres_log.address, netfault)

    def play_until_it_loses() -> None:
        # A machine that is busy may not see the second transaction in the moment before the first one is let go.
        for _ in range(10):
            verify.replay(NumberPollStore, postgres_log, schedule, settle=4.0)

    with pytest.raises(UpdateLost) as caught:
        play_until_it_loses()

    assert caught.value.broken == ("reliable",)


@pytest.mark.parametrize("name", ["HorizonPollStore", "LockedPollStore"])
def test_polling_loses_nothing_where_no_row_can_appear_below_one_that_was_seen(
    name: str, postgres_log: postgres_stores.PostgresLog, netfault: NetFault
) -> None:
    import postgres_stores

    open_store = getattr(postgres_stores, name)
    verify.replay(
        open_store, postgres_log, slow_commit(open_store, postgres_log.address, netfault), settle=4.0
    )

    report = verify.no_update_lost(open_store, postgres_log, max_examples=10, settle=4.0, seed=1)

    assert report.inconclusive == 0
