"""Which frames of a traceback pytest shows: those of the test and of the client under test, and not ours.

pytest leaves out frames whose function *or module* has ``__tracebackhide__``. Our modules get it where a failure is
about to be shown, so that no new function, lambda or generated ``__init__`` can be forgotten. ``--full-trace`` and
``--tb=native`` show everything, as for all hidden frames.

Standard library only, because the plugin loads this in every session.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from pytest_netfault.common.callers import is_ours

__all__ = ["hide_our_frames"]

_PACKAGE = __name__.partition(".")[0]
# Out of our own code these are mistakes of ours, and not answers to a call: whoever meets one should see where.
_MISTAKES = (ArithmeticError, AttributeError, LookupError, NameError, RecursionError)


def hide_our_frames() -> None:
    """Have pytest leave out the frames of every module of ours that is loaded by now."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == _PACKAGE and module is not None:
            module.__dict__.setdefault("__tracebackhide__", _is_no_mistake)


def _is_no_mistake(excinfo: Any) -> bool:
    error = getattr(excinfo, "value", None)
    if getattr(error, "pytrace", True) is False:
        return False  # pytest.fail() without a traceback: of that, pytest would say that all of it is hidden
    return not (isinstance(error, _MISTAKES) and _raised_by_us(error.__traceback__))


def _raised_by_us(trace: TracebackType | None) -> bool:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and is_ours(trace.tb_frame.f_globals)
