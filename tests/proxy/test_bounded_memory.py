"""What one direction of one connection may hold in the proxy while its reader has stalled: the figures of the page.

The kernel's own buffers come on top; they are not ours. What is held arrives whole once the reader goes on.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import tracemalloc
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.faults import Blackhole, Corrupt, Cut, Delay, Fault, Slice, Throttle
from pytest_netfault.proxy.budget import MAX_HELD, Budget
from pytest_netfault.proxy.engine import READ_SIZE
from pytest_netfault.proxy.flow import PIECE_COST

KIB = 1024
MIB = 1024 * KIB
READ = 256 * KIB  # is looked at before a read, so that one read may come on top
PASSED = 256 * KIB  # past all faults, waiting for the receiver
CASES: list[tuple[list[Fault], int]] = [
    ([], PASSED + READ),
    ([Corrupt(0)], PASSED + READ),
    ([Blackhole()], PASSED + READ),
    ([Cut(3, how="blackhole")], PASSED + READ),
    ([Throttle(1)], PASSED + 64 * KIB + READ),
    ([Throttle(1e9)], PASSED + 10_000_000 + READ),
    ([Slice(1)], PASSED + READ),
    ([Slice(100, gap=3600)], PASSED + 64 * KIB + READ),
    ([Delay(3600)], PASSED + 4 * MIB + READ),
    ([Delay(0)], PASSED + 4 * MIB + READ),
    ([Throttle(1), Delay(3600), Slice(700, gap=1)], PASSED + 4 * MIB + 2 * 64 * KIB + READ),
]


@pytest.mark.parametrize(("faults", "bound"), CASES, ids=lambda value: repr(value).replace(" ", ""))
@pytest.mark.parametrize("direction", ["up", "down"])
def test_behind_a_reader_that_has_stalled(
    make_rig: Any, helpers: Any, direction: str, faults: list[Fault], bound: int
) -> None:
    rig = make_rig(max_held=4 * MIB)  # instead of 256, to be quick
    sender, receiver = rig.connect(receive_buffer=65536).ends(direction)
    active = [rig.link.apply(fault) for fault in faults]
    connection = rig.link._link.connections.live[1]
    pipe = getattr(connection, direction)
    sent = rig.fill(sender)
    held = connection.engine.call(lambda: pipe.flow.held)
    assert held <= bound
    for fault in reversed(active):
        fault.heal()
    assert connection.engine.call(lambda: pipe.flow.held) <= bound
    assert helpers.take(receiver, sent) == bytes(sent)
    rig.fence()
    assert connection.engine.call(lambda: pipe.flow.held) == 0


def held_by(link: Any) -> int:
    """What the link says that it holds, and what it holds indeed."""
    inside = link._link

    def look() -> tuple[int, int]:
        pipes = [pipe for connection in inside.connections.live.values() for pipe in connection.pipes]
        return inside.connections._budget.used, sum(pipe.flow.cost for pipe in pipes)

    said, counted = inside.engine.call(look)
    assert said == counted
    return int(said)


def test_the_default_is_what_the_page_says() -> None:
    assert MAX_HELD == 256 * MIB


@pytest.mark.parametrize(
    "fault",
    [Delay(3600), Throttle(1), Blackhole(), Slice(1, gap=3600), Cut(3, how="blackhole"), None],
    ids=repr,
)
def test_all_connections_and_directions_together(make_rig: Any, helpers: Any, fault: Fault | None) -> None:
    """Each gets a share, the sum stays below the bound, and all of it arrives in order afterwards."""
    rig = make_rig(max_held=2 * MIB)
    pairs = [rig.connect(receive_buffer=65536) for _ in range(12)]
    active = rig.link.apply(fault) if fault else None
    ways = [pair.ends(direction) for pair in pairs for direction in ("up", "down")]
    sent = [0] * len(ways)
    sums = [hashlib.sha256() for _ in ways]
    rising = True
    while rising:
        rising = False
        for number, (sender, _) in enumerate(ways):
            block = bytes([number]) * 65521 + sent[number].to_bytes(8, "big")
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while went := sender.send(block):
                    sums[number].update(block[:went])
                    sent[number] += went
                    rising = True
            sender.settimeout(helpers.patience)
        assert held_by(rig.link) <= 2 * MIB
    pipes = [pipe for one in rig.link._link.connections.live.values() for pipe in one.pipes]
    if isinstance(fault, Delay):
        costs = sorted(pipe.cost for pipe in pipes)
        assert costs[0] > 0
        assert held_by(rig.link) > MIB
    if active:
        active.heal()
    got = [hashlib.sha256() for _ in ways]
    with contextlib.ExitStack() as stack:

        def take(number: int) -> None:
            left = sent[number]
            while left:
                part = ways[number][1].recv(min(left, 65536))
                assert part
                left -= len(part)
                got[number].update(part)

        readers = [helpers.in_thread(stack, functools.partial(take, number)) for number in range(len(ways))]
        for reader in readers:
            reader.join(helpers.patience)
    assert [one.hexdigest() for one in got] == [one.hexdigest() for one in sums]
    rig.fence()
    assert held_by(rig.link) == 0
    assert not rig.link._link.connections._budget.waiting or rig.link.connections


def test_one_that_comes_late_is_served_while_another_holds_nearly_all(make_rig: Any, helpers: Any) -> None:
    rig = make_rig(max_held=4 * MIB)
    greedy, late = rig.connect(), rig.connect()
    with rig.link.delay(0.02):
        with rig.link.blackhole("down"):
            rig.fill(greedy.server)
        for number in range(20):
            late.client.sendall(b"%02d" % number)
            assert helpers.take(late.server, 2) == b"%02d" % number


def test_small_pieces_count_as_what_they_take(make_rig: Any) -> None:
    rig = make_rig(max_held=64 * KIB)
    pair = rig.connect()
    with rig.link.delay(3600, direction="up"):
        for _ in range(1000):
            with contextlib.suppress(BlockingIOError):
                pair.client.setblocking(False)
                pair.client.send(b"x")
            rig.fence()
            if held_by(rig.link) > 60 * KIB:
                break
        assert held_by(rig.link) <= 64 * KIB + PIECE_COST


def test_what_ends_gives_its_share_back(make_rig: Any) -> None:
    rig = make_rig(max_held=MIB)
    with rig.link.delay(3600):
        for _ in range(3):
            pair = rig.connect()
            rig.fill(pair.client)
            assert held_by(rig.link) > 0
            rig.link.reset()
            assert held_by(rig.link) == 0


def test_a_link_that_was_closed_keeps_no_buffer(net: NetFault) -> None:
    net.forward(9).close()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            net.forward(9).close()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(net.links) == 51
    assert kept < 50 * 16 * KIB


@pytest.mark.parametrize("value", [True, 1.5, "1", None, 0, -1, 65535, 2**63], ids=repr)
def test_a_bound_that_is_none_is_refused(net: NetFault, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"max_held must be .*, not"):
        net.forward(9, max_held=value)


class TestBudget:
    def test_shares_come_to_be_equal(self) -> None:
        """Twelve that take whatever they get, and give back what they took first."""
        budget, held = Budget(64 * MIB, lambda: None), [0] * 12
        for turn in range(3000):
            number = turn % 12
            room = budget.room(held[number])
            less = min(held[number], 2 * MIB)
            after = held[number] - less
            budget.change(held[number], after)
            held[number] = after
            room = min(READ_SIZE * 8, budget.room(after))
            budget.change(after, after + room)
            held[number] += room
            assert budget.used == sum(held) <= 64 * MIB
        assert max(held) < 2 * min(held)

    def test_each_has_a_little_whatever_the_others_hold(self) -> None:
        budget = Budget(MIB, lambda: None)
        greedy = 0
        while room := budget.room(greedy):
            budget.change(greedy, greedy + room)
            greedy += room
        assert 0 < MIB - greedy < 128 * KIB
        others = 0
        while budget.room(0) and others < 60:
            room = min(KIB, budget.room(0))
            budget.change(0, room)
            others += 1
        assert others == 60

    def test_who_waits_is_told_once_something_was_given_back(self) -> None:
        told: list[str] = []
        budget = Budget(MIB, lambda: told.append("room"))

        class Waits:
            def has_room(self) -> None:
                told.append("look")
                budget.wait(self)

        budget.change(0, 100)
        budget.change(100, 50)
        assert told == []
        first, second = Waits(), Waits()
        budget.wait(first)
        budget.wait(second)
        budget.change(50, 60)
        assert told == []
        budget.change(60, 10)
        assert told == ["room"]
        budget.serve()
        assert told == ["room", "look", "look"]
        assert list(budget.waiting) == [first, second]
        budget.forget(first)
        assert list(budget.waiting) == [second]
