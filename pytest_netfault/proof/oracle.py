"""The oracle of a run: the server's log or, for a store that has none, the outcomes of writes.

A store with a log and revisions is held to every guarantee. A store without (a server that has neither ``revision()``
nor ``log()``) is held to what acknowledgements can prove, and to what it holds if its server can ``read(prefix)``. What
that is, ``pytest_netfault.checks.inferred_log`` and ``pytest_netfault.checks.writes`` say: all verdicts are made there.

Nothing is waited for here, and nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pytest_netfault.checks.trace import LogSource, Revision
from pytest_netfault.checks.writes import Held
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.proof.trace_builder import Decode, read_log

__all__ = ["CommittedLog", "InferredLog", "ServerLog", "has_log"]


class CommittedLog(Protocol):
    """What the runner asks."""

    @property
    def source(self) -> LogSource:
        """Where the log comes from."""

    @property
    def held(self) -> Held | None:
        """What the store held when it was last asked for its revision; None if nobody can look."""

    def revision(self) -> int:
        """The store's revision; every write that was acknowledged before is at or below it."""

    def log(self, namespace: str, decode: Decode) -> tuple[Revision, ...]:
        """What was committed in a name space since the run began; empty if the store keeps no log."""


def has_log(server: object) -> bool:
    """Whether a server has a log itself."""
    return hasattr(server, "revision") or hasattr(server, "log")


class ServerLog:
    """The oracle that reads the server's own log, over its own address."""

    source: LogSource = "server"
    held: Held | None = None

    def __init__(self, server: Any) -> None:
        self._server = server
        self._base: int = server.revision()

    def revision(self) -> int:
        revision: int = self._server.revision()
        return revision

    def log(self, namespace: str, decode: Decode) -> tuple[Revision, ...]:
        return read_log(self._server.log(self._base), namespace, decode)


class InferredLog:
    """The oracle that infers a log from the outcomes of writes, and from the store's state where it can be read.

    Args:
        writes: the writes so far, as they were known before the revision was asked for.
        server: its ``read(prefix)`` gives every key below a prefix with its value, if it has one.
        prefix: what the subscription covers.
    """

    source: LogSource = "acknowledgements"

    def __init__(self, writes: Callable[[], Sequence[WriteRecord]], server: Any, prefix: str) -> None:
        self._writes = writes
        self._read: Callable[[str], object] | None = getattr(server, "read", None)
        self._prefix = prefix
        self.held: Held | None = None

    def revision(self) -> int:
        # Looked at between the outcomes and the stream: what was acknowledged is in it, and a write that takes
        # effect later is not expected yet.
        self.held = self._look()
        return 1 + len(self._writes())

    def log(self, namespace: str, decode: Decode) -> tuple[Revision, ...]:
        return ()

    def _look(self) -> Held | None:
        if self._read is None:
            return None
        state = self._read(self._prefix)
        if not isinstance(state, Mapping) or not all(
            isinstance(one, str) for change in state.items() for one in change
        ):
            raise TypeError(
                f"server.read({self._prefix!r}) must return a mapping of keys to values, all of them strings, "
                f"not {state!r:.200}"
            )
        written = {
            key for write in self._writes() for key, _ in write.changes if key.startswith(self._prefix)
        }
        return {key: state.get(key) for key in sorted(written)}
