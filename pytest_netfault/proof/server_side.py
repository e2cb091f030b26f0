"""The server during one run: what is asked of it, and what the schedule does to it.

Whatever the server raises is raised here: without a log there is no verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pytest_netfault.checks.trace import Compaction, Revision
from pytest_netfault.proof.calls import Caller
from pytest_netfault.proof.contract import Server
from pytest_netfault.proof.limits import Deadline, ask
from pytest_netfault.proof.oracle import CommittedLog, InferredLog, ServerLog, has_log
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.proof.trace_builder import Decode, decode_utf8

__all__ = ["ServerSide"]

# After Ctrl-C, so long is waited for a restart of the server, or a pause, to come to its end.
_FINISH_SECONDS = 10.0
# A store that others write to as well never stands still; then it is restarted all the same.
_STILL_SECONDS = 5.0


class ServerSide:
    """What is asked of the server and done to it, on a thread of its own.

    Args:
        server: the user's.
        writes: the records of the writes so far.
        namespace: of the run.
        deadline: of the proof.

    Attributes:
        known_writes: the writes as they were known when the revision was last asked for.
        compactions: what was compacted, and when.
        troubles: when it was restarted or paused.
        changes: how often it was stopped or started.
        paused: whether it stands still.
    """

    def __init__(
        self,
        server: Server,
        writes: Callable[[], Sequence[WriteRecord]],
        namespace: str,
        deadline: Deadline,
    ) -> None:
        self._server: Any = server
        self._writes = writes
        self._namespace = namespace
        self._deadline = deadline
        self._caller = Caller("server")
        self._log: CommittedLog | None = None
        self.known_writes: tuple[WriteRecord, ...] = ()
        self.compactions: list[Compaction] = []
        self.troubles: list[float] = []
        self.changes = 0
        self.paused = False

    def open(self) -> None:
        """Fix from where the log is read."""
        if has_log(self._server):
            self._log = self._ask("server.revision()", ServerLog, self._server)
        else:
            self._log = InferredLog(lambda: self.known_writes, self._server, f"{self._namespace}.")

    @property
    def log(self) -> CommittedLog:
        """Where the committed changes come from."""
        assert self._log is not None
        return self._log

    def revision(self) -> int:
        """The store's revision; what was acknowledged by now must be in the log, or the state, that is read next."""
        self.known_writes = tuple(self._writes())
        what = "server.revision()" if has_log(self._server) else "server.read()"
        revision: int = self._ask(what, self.log.revision)
        return revision

    def committed(self, decode: Decode) -> tuple[Revision, ...]:
        """What was committed in the name space of the run."""
        what = "server.log()" if decode is decode_utf8 else "server.log() with the client's decode()"
        log: tuple[Revision, ...] = self._ask(what, self.log.log, self._namespace, decode)
        return log

    def can(self, name: str) -> bool:
        """Whether the server has this method."""
        return callable(getattr(self._server, name, None))

    def compact(self, delivered: int) -> int:
        """Compact it after so many deliveries; return the revision up to which it has forgotten."""
        revision = self._operate("compact")
        if isinstance(revision, bool) or not isinstance(revision, int):
            revision = self.revision()
        self.compactions.append(Compaction(revision, delivered))
        return revision

    def restart(self, held: AbstractContextManager[object]) -> None:
        """Kill the server and start it again, with nothing under way to it.

        An etcd before 3.5.5 that is killed between applying a write and logging it forgets what it has already shown
        (etcd issue 14370). No client can be right about that, so what still comes up the link waits for the new
        process, and what had come is done: the revision stands still.

        Args:
            held: while entered, nothing reaches the server over the link.
        """
        with held:
            revision, until = -1, time.monotonic() + self._deadline.within(_STILL_SECONDS)
            while not self.paused and revision != (revision := self.revision()):
                if time.monotonic() >= until:
                    break
            self._operate("restart")
        self.changes += 1
        self.troubles.append(time.monotonic())
        self.paused = False

    def pause(self) -> None:
        """Let it stand still."""
        self._operate("pause")
        self.changes += 1
        self.troubles.append(time.monotonic())
        self.paused = True

    def resume(self) -> None:
        """Let it go on."""
        self._operate("resume")
        self.changes += 1
        self.paused = False

    def close(self) -> None:
        """Let a paused server go on, and end the thread."""
        try:
            if self.paused:
                self.paused = False
                self._operate("resume")
        finally:
            self._caller.close()

    def _operate(self, name: str) -> Any:
        return self._ask(f"server.{name}()", getattr(self._server, name), finish=_FINISH_SECONDS)

    def _ask(self, what: str, function: Callable[..., Any], *arguments: Any, finish: float = 0.0) -> Any:
        return ask(self._caller, self._deadline, what, function, *arguments, finish=finish)
