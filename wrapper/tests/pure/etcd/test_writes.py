"""What a write sends, within the server's limits."""

from __future__ import annotations

from typing import Any

import pytest
from runtime_config import ABSENT, Key, Versioned
from runtime_config._etcd.layout import Layout
from runtime_config._etcd.writes import MAX_OPERATIONS, Expect, Put, Write
from runtime_config.transaction import Transaction, expectation

LAYOUT = Layout("/r")


def depth_fits(request: Any, limit: int = MAX_OPERATIONS) -> bool:
    """The server's own rule: each level counts its largest list, and leaves the rest to the levels below."""
    own = max(len(request.compare), len(request.success), len(request.failure))
    return own <= limit and all(
        depth_fits(op.request_txn, limit - own) for op in request.success if op.HasField("request_txn")
    )


@pytest.mark.parametrize("expects", [0, 1, 64, 126, 127, 128])
def test_every_mix_of_128_operations_fits_the_server(expects: int) -> None:
    for puts in {0, 1, 128 - expects}:
        if expects + puts <= MAX_OPERATIONS:
            write = Write.of(
                [Expect(f"a.k{n}", n) for n in range(expects)], [Put(f"b.k{n}", b"v") for n in range(puts)]
            )
            assert depth_fits(write.request(LAYOUT, 5)), (expects, puts)


def test_values_are_stored_bare_and_beside_them_the_id() -> None:
    write = Write.of([], [Put("a.b", b"100")])
    request = write.request(LAYOUT, 7)
    puts = [
        (op.request_put.key, op.request_put.value) for op in request.success if op.HasField("request_put")
    ]
    assert puts == [(b"/r/a/b", b"100"), (LAYOUT.slot(write.write_id), write.write_id.encode())]
    assert request.compare[-1].mod_revision == 8
    assert request.compare[-1].key == LAYOUT.fence(write.write_id)


@pytest.mark.parametrize("count", [2, 127, 128])
def test_the_order_of_a_transaction_is_kept(count: int) -> None:
    request = Write.of([], [Put(f"b.k{n}", b"v") for n in range(count)]).request(LAYOUT, 5)
    operations = [inner for op in request.success for inner in (list(op.request_txn.success) or [op])]
    keys = [op.request_put.key for op in operations if op.HasField("request_put")]
    assert keys[:-1] == [LAYOUT.raw(f"b.k{n}") for n in range(count)]


def test_ids_differ_and_slots_are_bounded() -> None:
    writes = [Write.of([], []) for _ in range(500)]
    assert len({write.write_id for write in writes}) == 500
    assert len({LAYOUT.slot(write.write_id) for write in writes}) <= 256


def test_a_default_expects_the_key_to_be_missing() -> None:
    key = Key("writes.k", int, default=1)
    assert expectation(key, ABSENT) == expectation(key, Versioned(1, 0)) == Expect("writes.k", 0)
    assert expectation(key, Versioned(1, 9, 4, 2)) == Expect("writes.k", 9)
    with pytest.raises(TypeError, match="must be a Versioned"):
        expectation(key, 1)  # type: ignore[arg-type]


def transaction(committed: list[Any]) -> Transaction:
    def commit(_: list[Any], expects: list[Expect], puts: list[Put]) -> int:
        committed.append((expects, puts))
        return 9

    return Transaction(commit)


def test_the_129th_operation_is_refused_at_once() -> None:
    committed: list[Any] = []
    with transaction(committed) as txn:
        for number in range(64):
            txn.require(Key(f"txn.r{number}", int), ABSENT)
            txn.set(Key(f"txn.k{number}", int), number)
        with pytest.raises(ValueError, match="at most 128 operations"):
            txn.delete(Key("txn.more", int))
    assert len(committed) == 1
    assert txn.revision == 9


def test_a_key_named_twice_is_refused_by_name() -> None:
    key = Key("txn.twice", int)
    with transaction([]) as txn:
        txn.require(key, ABSENT)
        txn.set(key, 1)
        with pytest.raises(ValueError, match=r"'txn\.twice' is changed twice"):
            txn.delete(key)
        with pytest.raises(ValueError, match=r"'txn\.twice' is required twice"):
            txn.require(key, ABSENT)


def test_an_exception_commits_nothing() -> None:
    committed: list[Any] = []
    with pytest.raises(ZeroDivisionError), transaction(committed) as txn:
        txn.set(Key("txn.k", int), 1 // 0)
    assert committed == []


def test_nothing_is_taken_outside_the_block() -> None:
    txn = transaction([])
    with pytest.raises(ValueError, match="inside its 'with' block"):
        txn.delete(Key("txn.k", int))
    with txn:
        pass
    assert txn.revision is None
    with pytest.raises(ValueError, match="used once"):
        txn.__enter__()
