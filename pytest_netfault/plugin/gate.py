"""What should not pass unnoticed: a fault that met nothing, or one that is left in force for the next test.

Both are a warning at the line that applied the fault, and a failure with ``--netfault-strict`` or where warnings are
errors.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_netfault.common.printable import printable
from pytest_netfault.events import LinkWarning

if TYPE_CHECKING:
    from pytest_netfault.plugin.network import AppliedFault
    from pytest_netfault.plugin.options import Settings
    from pytest_netfault.plugin.record import FaultGroup

__all__ = ["complain_of_fault_left", "complain_of_no_traffic"]


def complain_of_no_traffic(item: pytest.Item, settings: Settings, group: FaultGroup) -> None:
    """A test has passed, and no fault of a group met traffic.

    Raises:
        pytest.fail.Exception: if strict, or if warnings are errors.
    """
    last = group.last
    times = "" if group.faults == 1 else f" {group.faults} times"
    where = f"{last.fault!r} was in force on {last.link}{times}"
    if not last.fault.leaves_trace():
        sentence = (
            f"{where}, and no client has used that link in this test: connect to {last.address}, and not to the "
            "server itself, or leave the fault out"
        )
    else:
        sentence = (
            f"{where} and met no traffic: connect through {last.address}, send something while it holds, or leave it "
            "out"
        )
    _complain(item, settings, sentence, last.line)


def complain_of_fault_left(item: pytest.Item, settings: Settings, left: AppliedFault) -> None:
    """A test is over, and a fault of it is in force on a link that lives on.

    Raises:
        pytest.fail.Exception: as :func:`complain_of_no_traffic`.
    """
    sentence = (
        f"{left.active.fault!r} is still in force on {left.link.name} ({left.link.address}), which the next test may "
        "use: heal it, or apply it in a with block"
    )
    _complain(item, settings, sentence, left.line)


def _complain(item: pytest.Item, settings: Settings, sentence: str, line: tuple[str, int] | None) -> None:
    """Warn, or fail, at the line that applied the fault, which is not where the test begins."""
    sentence = printable(sentence)
    if line is None:
        file, number = str(item.path), (item.location[1] or 0) + 1
    else:
        file, number = line
    place = f"{printable(os.path.relpath(file, item.config.invocation_params.dir))}:{number}: "
    if not settings.strict:
        try:
            warnings.warn_explicit(LinkWarning(sentence), None, file, number)
            return
        except LinkWarning:  # warnings are errors; its traceback would be nothing but lines of ours
            place += "pytest_netfault.LinkWarning: "
    pytest.fail(place + sentence, pytrace=False)
