"""The verdicts on everything that a file holds, from its text.

    for judged in judge_text(path.read_text()):
        print(judged.id, judged.verdict.verdict)

Nothing is raised: what is damaged has the verdict ``"unreadable"``, and its neighbours are judged nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_netfault.checks.acks import Acks, judge_acks
from pytest_netfault.checks.document import Case, Foreign, NothingToJudge, read_document
from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.history import History
from pytest_netfault.checks.linearizability import check_linearizable
from pytest_netfault.checks.reading import NESTED, FormatError
from pytest_netfault.checks.verdict import Verdict, VerdictName
from pytest_netfault.common.garbage import collector_paused

__all__ = ["Judged", "Skipped", "Unreadable", "judge_text"]


@dataclass(frozen=True)
class Skipped:
    """The verdict on what makes no promise that could be judged; ``reason`` says what it is."""

    reason: str

    @property
    def verdict(self) -> VerdictName:
        """``"skipped"``."""
        return "skipped"

    def to_json(self) -> dict[str, Any]:
        """``verdict``."""
        return {"verdict": self.verdict}

    def lines(self) -> list[str]:
        """The verdict with the reason."""
        return [f"skipped: {self.reason}"]


@dataclass(frozen=True)
class Unreadable:
    """The verdict on what is damaged.

    Attributes:
        reason: what is wrong, in one sentence.
        line: the line of the file, counted from 1, where that is known.
        foreign: whether it is intact and of none of our formats: in a folder, a file of another program.
    """

    reason: str
    line: int | None = None
    foreign: bool = False

    @property
    def verdict(self) -> VerdictName:
        """``"unreadable"``."""
        return "unreadable"

    def to_json(self) -> dict[str, Any]:
        """``verdict``."""
        return {"verdict": self.verdict}

    def lines(self) -> list[str]:
        """The verdict with the reason."""
        return [f"unreadable: {self.reason}"]


@dataclass(frozen=True)
class Judged:
    """One thing that a file holds, and the verdict on it.

    Attributes:
        id: its own name for itself, if it has one.
        number: its place among the cases of its file, from 0; None if the file is one case.
        verdict: the verdict.
    """

    id: str | None
    number: int | None
    verdict: Verdict


def judge_text(text: str, *, model: str | None = None) -> Iterator[Judged]:
    """Judge everything that the text of a file holds, in order.

    The collector of cycles is paused meanwhile: a long trace is millions of small objects without a cycle among them,
    and it would look at all of them again and again (with a million changes, two thirds of the time).

    Args:
        text: a history, a trace, acknowledgements, or an object with ``cases``.
        model: the model for histories, a name of ``models.MODELS``; None for the one that their operations imply.
    """
    try:
        with collector_paused():
            cases = read_document(text)
    except FormatError as error:
        cases = [Case(None, None, error)]
    except RecursionError:
        cases = [Case(None, None, FormatError(NESTED, line=1))]
    for case in cases:
        with collector_paused():
            verdict = _judge(case, model)
        yield Judged(case.id, case.number, verdict)


def _judge(case: Case, model: str | None) -> Verdict:
    subject = case.subject
    try:
        if isinstance(subject, FormatError):
            raise subject
        if isinstance(subject, NothingToJudge):
            return Skipped(subject.reason)
        if isinstance(subject, Acks):
            return judge_acks(subject)
        if isinstance(subject, History):
            return check_linearizable(subject, model=model)
        return judge_trace(subject)
    except FormatError as error:
        return Unreadable(error.reason, error.line, foreign=isinstance(error, Foreign))
    except RecursionError:
        return Unreadable(NESTED, line=1)
