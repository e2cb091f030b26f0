"""What one direction of one connection may hold in the proxy while its reader has stalled: the figures of the page.

The kernel's own buffers come on top; they are not ours. What is held arrives whole once the reader goes on.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault.faults import Blackhole, Corrupt, Cut, Delay, Fault, Slice, Throttle
from pytest_netfault.proxy import stages

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
    rig: Any, helpers: Any, monkeypatch: pytest.MonkeyPatch, direction: str, faults: list[Fault], bound: int
) -> None:
    monkeypatch.setattr(stages, "DELAY_LIMIT", 4 * MIB)  # instead of 256, to be quick
    sender, receiver = rig.connect(receive_buffer=65536).ends(direction)
    active = [rig.link.apply(fault) for fault in faults]
    connection = rig.link._link._connections[1]
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


def test_the_real_limit_of_a_delay_is_what_the_page_says() -> None:
    assert stages.DELAY_LIMIT == 256 * MIB
