"""A proof without pytest around it: what the plugin does for the proof in a test, for the one of a command.

The folder, the summary and the texts are those of the plugin. What differs is who shows them.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pytest_netfault.cli.console import Console
from pytest_netfault.cli.progress import progress_lines
from pytest_netfault.common.files import append_text
from pytest_netfault.common.interrupts import wait_for_ctrl_c
from pytest_netfault.common.printable import error_words
from pytest_netfault.proof import host
from pytest_netfault.proof.announce import proof_story
from pytest_netfault.proof.host import ProofVerdict
from pytest_netfault.proof.results import ProvedNothing, Report, UpdateLost
from pytest_netfault.report.folder import folder_name, write_folder
from pytest_netfault.report.markdown import Row, session_summary
from pytest_netfault.report.terminal import ProofStory, Totals, failure_text, summary_line
from pytest_netfault.report.timeline_log import LogLine

__all__ = ["ProofSession"]

# Of what the server printed, beside what is known of a failure.
_LINES_KEPT = 200

Came = TypeVar("Came", bound="Report | UpdateLost | ProvedNothing")


@dataclass
class ProofSession:
    """The host of the one proof that a command runs.

    Attributes:
        name: what is proved, for people and for the name of the folder.
        command: what runs it again with the same seed.
        seed: what everything is drawn from.
        strict: whether an example that proves nothing makes the whole prove nothing.
        output: where the folder of a proof that fails is made; None for nowhere.
        summary: the file that a summary is appended to; None for none.
        keep: whether the server stays up after a failure until Ctrl-C.
        console: where all is shown.
        verdict: how the proof ended.
    """

    name: str
    command: str
    seed: int
    strict: bool
    output: Path | None
    summary: Path | None
    keep: bool
    console: Console
    verdict: ProofVerdict | None = None

    def __post_init__(self) -> None:
        self._show: Callable[[str], None] = lambda _line: None

    # -- the host of the proof ------------------------------------------------------------------------------

    @property
    def test(self) -> str:
        """What runs the proof."""
        return self.name

    def logged(self) -> Sequence[LogLine]:
        """Nothing: what a command logs is on the terminal."""
        return ()

    def flag(self, option: str) -> str:
        """How an option is written."""
        return f"--{option}"

    def folder(self) -> Path | None:
        """Where the files of a loss go, or None; it need not exist."""
        return None if self.output is None else self.output / folder_name(self.name)

    def progressed(self, line: str) -> None:
        """The proof has come to this place."""
        self._show(line)

    def judged(self, verdict: ProofVerdict) -> None:
        """The proof has ended."""
        self.verdict = verdict

    # -- around the proof -----------------------------------------------------------------------------------

    def run(self, server: Any, prove: Callable[[], Came]) -> Came:
        """Run the proof and show how it ended; however it does, its files and its summary are written.

        Args:
            server: what it is proved with.
            prove: runs it; raises if it does not come to its end.
        """
        try:
            host.enter(self)
            try:
                with progress_lines(self.console, "netfault: ") as self._show:
                    came = prove()
            finally:
                host.leave(self)
        except BaseException as error:
            self._conclude(server, "" if isinstance(error, KeyboardInterrupt) else str(error))
            if not isinstance(error, KeyboardInterrupt):
                self._hold(server)
            raise
        kept = isinstance(came, Report)
        self.console.story(f"kept: {came}" if kept else str(came))
        self._conclude(server, "")
        if not kept:
            self._hold(server)
        return came

    def _conclude(self, server: Any, wrong: str) -> None:
        verdict = self.verdict
        folder = None
        if verdict is None or verdict.verdict != "kept":
            folder = self._write_folder(server, wrong)
        if folder is not None and verdict is not None and verdict.verdict == "unfinished":
            self.console.line(f"netfault: {verdict.summary}; what had happened by then is in {folder}")
        elif folder is not None:
            self.console.line(f"netfault: more in {folder}")
        totals = Totals()
        if verdict is not None:
            totals += Totals.of_proof(
                verdict.verdict,
                examples=verdict.examples,
                faults_that_met_traffic=verdict.faults_that_met_traffic,
            )
        self._append_summary(totals, folder, wrong)
        self.console.line(summary_line(self.seed, totals))
        self.console.flush()

    def _write_folder(self, server: Any, wrong: str) -> Path | None:
        """Write what is known of a failure beside the files of the loss; where that is, or None."""
        folder = self.folder()
        if folder is None:
            return None
        stories = [] if self.verdict is None else [proof_story(self.verdict)]
        if wrong:
            stories.append(ProofStory(wrong))
        text = failure_text(
            seed=self.seed,
            command=self.command,
            links=(),
            since=0.0,
            folder=str(folder),
            proofs=stories,
        )
        texts = {"failure.txt": text + "\n"}
        if words := _last_words(server):
            texts["server.log"] = words + "\n"
        try:
            return write_folder(folder.parent, folder.name, texts)
        except OSError as error:  # a full disk must not hide why it failed
            self.console.complain(f"netfault: the files were not written: {error}")
            return None

    def _append_summary(self, totals: Totals, folder: Path | None, wrong: str) -> None:
        if self.summary is None:
            return
        row = Row(nodeid=self.name, failed=True, reason=wrong, command=self.command)
        if (verdict := self.verdict) is not None:
            row = Row(
                nodeid=self.name,
                failed=verdict.verdict != "kept",
                verdict=verdict.verdict,
                reason=wrong or verdict.summary,
                schedule=verdict.schedule,
                faults=str(verdict.faults),
                met=str(verdict.faults_that_met_traffic),
                artifact="" if folder is None else str(folder),
                command=self.command,
            )
        try:
            append_text(self.summary, session_summary(self.seed, totals, [row], thing="proof"))
        except OSError as error:
            self.console.complain(f"netfault: the summary was not written: {error}")

    def _hold(self, server: Any) -> None:
        """Keep the server up until Ctrl-C if that was asked for, so that it can be looked at."""
        if not self.keep:
            return
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            self.console.line("netfault: the server is not kept, because Ctrl-C is ignored here")
            return
        with contextlib.suppress(KeyboardInterrupt):
            self.console.line(f"netfault: the server at {server.address} is kept; Ctrl-C ends it")
            self.console.flush()
            wait_for_ctrl_c()


def _last_words(server: Any) -> str:
    output = getattr(server, "output", None)
    if not callable(output):
        return ""
    try:
        return str(output(_LINES_KEPT))
    except Exception as error:  # of the user's own server
        return f"its output cannot be read: {error_words(error)}"
