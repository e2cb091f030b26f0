"""Which frames of a traceback pytest shows: those of the test and of the client under test, and not ours.

pytest leaves out frames whose function *or module* has ``__tracebackhide__``. Our modules get it where a failure is
about to be shown, so that no new function, lambda or generated ``__init__`` can be forgotten. ``--full-trace`` and
``--tb=native`` show everything, as for all hidden frames.

Standard library only, because the plugin loads this in every session.
"""

from __future__ import annotations

import sys
from types import FrameType, TracebackType
from typing import Any

__all__ = ["first_line_outside", "hide_our_frames"]

_PACKAGE = __name__.partition(".")[0]
# Out of our own code these are mistakes of ours, and not answers to a call: whoever meets one should see where.
_MISTAKES = (ArithmeticError, AttributeError, LookupError, NameError, RecursionError)


def hide_our_frames() -> None:
    """Have pytest leave out the frames of every module of ours that is loaded by now."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == _PACKAGE and module is not None:
            module.__dict__.setdefault("__tracebackhide__", _is_no_mistake)


def first_line_outside() -> tuple[str, int] | None:
    """The file and line of the innermost caller that is not ours, as of a test that applies a fault."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _is_ours(frame.f_globals):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _is_ours(names: dict[str, Any]) -> bool:
    return str(names.get("__name__", "")).partition(".")[0] == _PACKAGE


def _is_no_mistake(excinfo: Any) -> bool:
    error = getattr(excinfo, "value", None)
    if getattr(error, "pytrace", True) is False:
        return False  # pytest.fail() without a traceback: of that, pytest would say that all of it is hidden
    return not (isinstance(error, _MISTAKES) and _raised_by_us(error.__traceback__))


def _raised_by_us(trace: TracebackType | None) -> bool:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and _is_ours(trace.tb_frame.f_globals)
