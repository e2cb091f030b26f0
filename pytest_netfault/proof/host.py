"""The test session around a proof: it has a seed and a folder for files, and records how the proof ended.

A proof is a plain function and has no argument for the session that it runs in. The plugin enters its session here when
pytest is configured and leaves it when pytest ends; a proof asks for the current one. Outside pytest there is none.

This module imports the standard library only, because pytest loads it in every session. Sessions nest, as pytest's own
do when a suite of tests starts another one in its own process: the innermost is the current one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_netfault.checks.verdict import VerdictName
    from pytest_netfault.report.timeline_log import LogLine

__all__ = ["Host", "ProofVerdict", "current", "enter", "leave"]


@dataclass(frozen=True)
class ProofVerdict:
    """How a proof ended.

    Attributes:
        call: which one, as ``"no_update_lost"``.
        verdict: in one word: ``"kept"``, ``"broken"``, ``"inconclusive"`` if nothing was proved, or ``"unfinished"`` if
            something else ended it: Ctrl-C, a timeout, or what the client or the server raised.
        examples: schedules that were played.
        inconclusive: those of them that prove nothing.
        seed: draws the same schedules again.
        summary: the whole in one line.
        schedule: of a loss the smallest schedule, as one expression; else empty.
        broken: of a loss the names of the broken guarantees.
        files: of a loss the files that were written, the trace first.
        faults: faults that came into force.
        faults_that_met_traffic: those of them that met traffic.
        drawing: of a loss its timeline in plain characters.
        generated: whether its schedule is one of many that a property-based test tries.
        times: how many of those ended like that, this one last.
    """

    call: str
    verdict: VerdictName
    examples: int
    inconclusive: int
    seed: int
    summary: str
    schedule: str = ""
    broken: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    faults: int = 0
    faults_that_met_traffic: int = 0
    drawing: str = ""
    generated: bool = False
    times: int = 1


class Host(Protocol):
    """A session that proofs run in."""

    @property
    def seed(self) -> int:
        """The seed of a proof that was not given one."""

    @property
    def test(self) -> str:
        """What runs the proof: the name of the test; empty outside of one."""

    @property
    def strict(self) -> bool:
        """Whether an example that proves nothing is a failure."""

    def logged(self) -> Sequence[LogLine]:
        """What was logged while the test ran, the newest records, the oldest first."""

    def flag(self, option: str) -> str:
        """How an option of this session is written: ``"--netfault-strict"`` for ``"strict"``."""

    def folder(self) -> Path | None:
        """Where the files of a loss go if the test says nothing; None for nowhere. It need not exist."""

    def progressed(self, line: str) -> None:
        """Where a proof is, in one line; called in its thread, after each schedule that it played."""

    def judged(self, verdict: ProofVerdict) -> None:
        """A proof has ended; called in its thread, before it returns or raises."""


_ENTERED: list[Host] = []


def enter(session: Host) -> None:
    """Make a session the current one."""
    _ENTERED.append(session)


def leave(session: Host) -> None:
    """Take a session out again. Idempotent."""
    _ENTERED[:] = [one for one in _ENTERED if one is not session]


def current() -> Host | None:
    """The innermost session, or None outside of any."""
    return _ENTERED[-1] if _ENTERED else None
