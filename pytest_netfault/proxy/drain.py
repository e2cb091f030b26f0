"""What becomes of the bytes that a severed peer still sends."""

from __future__ import annotations

from collections.abc import Callable

from pytest_netfault.proxy.end import End
from pytest_netfault.proxy.engine import READ_SIZE
from pytest_netfault.proxy.poller import READ

__all__ = ["Drain"]


class Drain:
    """Reads and discards what a severed peer still sends, until it closes."""

    def __init__(self, end: End, on_end: Callable[[], None]) -> None:
        self._end = end
        self._on_end = on_end

    def start(self) -> None:
        """Read from now on."""
        end = self._end
        end.unwatch()
        end.engine.register(end.fd, READ, self._on_ready)
        end.watched = True

    def _on_ready(self, _mask: int) -> None:
        try:
            data = self._end.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end.close()
            self._on_end()
