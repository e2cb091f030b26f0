"""Ctrl-C as what somebody waits for."""

from __future__ import annotations

import time
from typing import NoReturn

__all__ = ["wait_for_ctrl_c"]

# A signal that comes right before a wait without a limit is not seen until the next one comes.
_LOOK_SECONDS = 0.5


def wait_for_ctrl_c() -> NoReturn:
    """Wait until Ctrl-C.

    Raises:
        KeyboardInterrupt: it was pressed.
    """
    while True:
        time.sleep(_LOOK_SECONDS)
