"""The frames of the toy's protocol: a line each, called by the first word of the JSON object."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from pytest_netfault.framers import Framer, register
from pytest_netfault.framers.registry import unregister

__all__ = ["LINES", "known"]

LINES = "toylines"
_NAME = re.compile(rb'\{"(\w+)": (?:"(\w+)")?')


class Lines(Framer):
    """One direction."""

    def begin(self) -> None:
        self.line(self._line)

    def _line(self, line: bytes) -> None:
        found = _NAME.match(line)
        if found is None:
            self.lose("no object")
            return
        name, value = found.groups()
        self.is_a((value if name == b"op" and value else name).decode(), left=0)
        self.finish()


def _recognizes(up: bytes, _down: bytes) -> bool | None:
    return None if len(up) < 6 else up.startswith(b'{"op":')


@contextlib.contextmanager
def known() -> Iterator[None]:
    """While entered, the kit knows the protocol; other tests are about clients whose protocol it does not know."""
    register(LINES, lambda: (Lines(), Lines()), _recognizes)
    try:
        yield
    finally:
        unregister(LINES)
