"""Who called us: the first line outside of this package."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

__all__ = ["first_line_outside", "is_ours", "source_line"]

_PACKAGE = __name__.partition(".")[0]
# Where a thread begins: whoever started it is not to be found here.
_NOBODY = frozenset({"threading", "concurrent.futures.thread", "multiprocessing.pool", "asyncio.runners"})


def is_ours(names: dict[str, Any]) -> bool:
    """Whether the globals of a frame are those of a module of ours."""
    return str(names.get("__name__", "")).partition(".")[0] == _PACKAGE


def first_line_outside() -> tuple[str, int] | None:
    """The file and line of the innermost caller that is not ours, as of a test that applies a fault."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not is_ours(frame.f_globals):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def source_line() -> str:
    """The same as ``file:line``, relative to the current directory if it is below that; empty if nobody called us."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame.f_globals):
        frame = frame.f_back
    if frame is None or frame.f_globals.get("__name__") in _NOBODY:
        return ""
    path = frame.f_code.co_filename
    try:
        below = os.path.relpath(path)
    except (OSError, ValueError):  # the directory is gone
        below = path
    return f"{path if below.startswith(os.pardir) else below}:{frame.f_lineno}"
