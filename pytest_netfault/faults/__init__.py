"""What can go wrong with a link, as data.

Each fault is a frozen dataclass. It says what is damaged and never how: the proxy reads these values and
does the damage, schedules draw them, reports print them, and ``repr()`` of one is the expression that makes
it again.

What others need to know of a fault it declares itself, see :class:`Traits` and :class:`Fault`.

* Only the standard library, and no I/O.
* A fault that exists is a valid one. Every argument is checked when the object is made, and the message
  names the argument, the value and what would be valid.
* Times are seconds, sizes are bytes, rates are bytes per second, probabilities lie between 0 and 1.
* Each can be limited: to a time, to some connections, to a share of them; see :class:`Fault`.
* ``direction`` is ``"up"`` (client to server), ``"down"`` (server to client) or ``"both"``.

>>> Delay(0.1, jitter=0.02)
Delay(0.1, jitter=0.02)
>>> Delay(-1)
Traceback (most recent call last):
    ...
ValueError: seconds must be at least 0, not -1
"""

from __future__ import annotations

from pytest_netfault.faults.arguments import Direction, shown
from pytest_netfault.faults.base import Chance, Fault, OnHeal, Traits, directions_of, limits_of
from pytest_netfault.faults.connections import Refuse, Reset, Sever, StallAccept
from pytest_netfault.faults.damage import Corrupt, Cut, CutHow, Lose
from pytest_netfault.faults.frame import Frame
from pytest_netfault.faults.limits import ConnectionNumbers, Limits
from pytest_netfault.faults.pace import Delay, Slice, Throttle
from pytest_netfault.faults.silence import Blackhole, Forget
from pytest_netfault.faults.written import (
    FAULTS,
    MissingFault,
    fault_from_json,
    fault_to_json,
)

__all__ = [
    "FAULTS",
    "Blackhole",
    "Chance",
    "ConnectionNumbers",
    "Corrupt",
    "Cut",
    "CutHow",
    "Delay",
    "Direction",
    "Fault",
    "Forget",
    "Frame",
    "Limits",
    "Lose",
    "MissingFault",
    "OnHeal",
    "Refuse",
    "Reset",
    "Sever",
    "Slice",
    "StallAccept",
    "Throttle",
    "Traits",
    "UnsupportedFault",
    "directions_of",
    "fault_from_json",
    "fault_to_json",
    "limits_of",
    "shown",
]


class UnsupportedFault(RuntimeError):
    """This machine cannot do the fault that was asked for; the message says why and what would help."""

    __module__ = "pytest_netfault"  # where users import it from, and short in a summary


# Where users import them from, in tracebacks, in documentation and in what is pickled.
for _kind in FAULTS:
    _kind.__module__ = __name__
Frame.__module__ = __name__
