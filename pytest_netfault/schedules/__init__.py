"""Schedules of outages and writes: what they are made of, and how they are drawn and shrunk.

    from pytest_netfault.schedules import schedules

    @given(schedule=schedules())
    def test_mine(schedule): ...

Everything that ``str()`` of a schedule mentions can be imported from here, and from ``pytest_netfault`` itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_netfault.common.renamed import renamed
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Forget,
    Frame,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.steps import (
    Break,
    Compact,
    Delete,
    Heal,
    Pause,
    Restart,
    Resume,
    Subscribe,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
    WriteMany,
)

if TYPE_CHECKING:
    from pytest_netfault.schedules.strategies import schedules as schedules

__all__ = [
    "Blackhole",
    "Break",
    "Compact",
    "Corrupt",
    "Cut",
    "Delay",
    "Delete",
    "Forget",
    "Frame",
    "Heal",
    "Lose",
    "Pause",
    "Refuse",
    "Reset",
    "Restart",
    "Resume",
    "Schedule",
    "Sever",
    "Slice",
    "StallAccept",
    "Subscribe",
    "Throttle",
    "WaitForBytes",
    "WaitForConnection",
    "WaitForEvents",
    "Write",
    "WriteMany",
]


def _lazily(name: str) -> object:
    # The strategies need Hypothesis, which is an extra; the rest of this package does not. That is why they are not in
    # __all__ either: a star import would ask for them.
    if name == "schedules":
        from pytest_netfault.schedules.strategies import schedules

        return schedules
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__, _lazily, Connected="WaitForConnection", Passed="WaitForBytes", Seen="WaitForEvents"
    )
