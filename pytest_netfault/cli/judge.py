"""``netfault judge PLACE...``: read files, judge what they hold, say so.

    netfault judge [--json] [--model NAME] PLACE [PLACE ...]

A place is a file, or a folder: of that every ``*.json`` and ``*.jsonl`` below it that is one of the formats. Files of
ours that hold no promise (``events.json``) are passed over with a word.

Rules of this file: this is the edge, the only place of the judging that reads and writes; only the standard
library, so that a trace can be judged wherever Python runs. Verdicts go to the standard output; a file that cannot be
read is one line on standard error, with its name and the line number, and the others are judged all the same.

Exit status: 0 kept, 1 broken, 2 unreadable, 3 inconclusive; of several the worst, in the order 2, 1, 3, 0. An
unreadable case in a file with ``cases`` counts as an unreadable file does, for a suite that lost a case must not pass;
and so does a run in which there was nothing to judge.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pytest_netfault.checks.acks import AckReport, Acks, judge_acks
from pytest_netfault.checks.document import Case, Foreign, NothingToJudge, read_document
from pytest_netfault.checks.guarantees import Breakage, TraceVerdict, judge_trace
from pytest_netfault.checks.history import History
from pytest_netfault.checks.linearizability import LinearizabilityVerdict, check_linearizable
from pytest_netfault.checks.models import MODELS
from pytest_netfault.checks.reading import NESTED, FormatError, shown
from pytest_netfault.checks.writes import WriteBreakage
from pytest_netfault.cli.console import Console, Parser, parsed, place
from pytest_netfault.cli.exit_codes import guarded
from pytest_netfault.common.files import CannotRead, files_below, is_folder, read_text
from pytest_netfault.common.printable import json_text

__all__ = ["EXIT_STATUS", "add_arguments", "judge", "main"]

EXIT_STATUS = {"kept": 0, "broken": 1, "unreadable": 2, "inconclusive": 3}
_WORST_FIRST = ("unreadable", "broken", "inconclusive", "kept")
_PATTERNS = ("*.json", "*.jsonl")

_Judged = TraceVerdict | AckReport | LinearizabilityVerdict | NothingToJudge | FormatError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``netfault judge``."""
    parser.add_argument(
        "files",
        nargs="+",
        type=place,
        metavar="PLACE",
        help="a history (*.jsonl), a trace or acknowledgements (*.json), or a folder with such files in it",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of sentences")
    parser.add_argument(
        "--model",
        choices=sorted(MODELS),
        help="judge histories against this model instead of the one that their operations imply",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``netfault judge`` with these arguments; return the exit status.

    Raises:
        SystemExit: the arguments are wrong (status 2), or help was asked for.
    """
    parser = Parser(
        prog="netfault judge",
        description="Judge recorded histories, traces and acknowledgements.",
        epilog="examples: netfault judge netfault-reports; netfault judge netfault-reports/*/*.json --json. "
        "Exit status: 0 kept, 1 broken, 2 unreadable or nothing to judge, 3 inconclusive; the worst counts.",
    )
    add_arguments(parser)
    arguments = parsed(parser, argv)
    return guarded(
        parser.prog,
        lambda console: _judge(arguments.files, arguments.json, arguments.model, console),
    )


def judge(
    paths: Sequence[str | Path],
    *,
    as_json: bool = False,
    model: str | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Judge files and print what became of them; return the exit status.

    Args:
        paths: files and folders, in the order of the output.
        as_json: print one JSON array, an object for each file or case.
        model: the model for histories; None for the one that they imply.
        out: where verdicts go; the standard output if None.
        err: where the lines about unreadable files go; standard error if None.
    """
    return _judge(paths, as_json, model, Console(out, err))


def _judge(paths: Sequence[str | Path], as_json: bool, model: str | None, console: Console) -> int:
    objects: list[dict[str, Any]] = []
    verdicts: set[str] = set()
    for one in paths:
        found: set[str] = set()
        for path, case, judged in _judge_place(Path(one), model):
            verdict = _verdict(judged)
            found.add(verdict)
            if isinstance(judged, FormatError):
                console.complain(_complaint(path, case, judged))
            if as_json:
                objects.append({"file": str(path), "id": case.id, "verdict": verdict, **_members(judged)})
            elif not isinstance(judged, FormatError):
                for line in _sentences(f"{path}{_name(case)}", judged):
                    console.line(line)
        if found <= {"skipped"} and is_folder(Path(one)):
            found = {"unreadable"}
            console.complain(
                f"{one}: there is no history, trace or list of acknowledgements below it (*.json, *.jsonl)"
            )
        verdicts |= found
    if verdicts == {"skipped"}:
        verdicts = {"unreadable"}
        console.complain("there is nothing to judge: none of the files holds a promise")
    if as_json:
        console.verbatim(json_text(objects, indent=2))
    return next((EXIT_STATUS[one] for one in _WORST_FIRST if one in verdicts), 0)


def _verdict(judged: _Judged) -> str:
    if isinstance(judged, FormatError):
        return "unreadable"
    return "skipped" if isinstance(judged, NothingToJudge) else judged.verdict


def _judge_place(file_or_folder: Path, model: str | None) -> Iterator[tuple[Path, Case, _Judged]]:
    if not is_folder(file_or_folder):
        for case, judged in _judge_file(file_or_folder, model):
            yield file_or_folder, case, judged
        return
    try:
        for path in files_below(file_or_folder, *_PATTERNS):
            for case, judged in _judge_file(path, model):
                if isinstance(judged, Foreign) and case.number is None:
                    judged = NothingToJudge("no history, trace or acknowledgements")
                yield path, case, judged
    except CannotRead as error:
        refused = FormatError(error.reason)
        yield file_or_folder, Case(None, None, refused), refused


def _judge_file(path: Path, model: str | None) -> Iterator[tuple[Case, _Judged]]:
    try:
        with _collector_resting():
            cases = read_document(read_text(path))
    except CannotRead as error:
        cases = [Case(None, None, FormatError(error.reason, line=error.line))]
    except FormatError as error:
        cases = [Case(None, None, error)]
    except RecursionError:
        cases = [Case(None, None, FormatError(NESTED, line=1))]
    for case in cases:
        with _collector_resting():
            judged = _judge_case(case, model)
        yield case, judged


def _judge_case(case: Case, model: str | None) -> _Judged:
    subject = case.subject
    if isinstance(subject, (FormatError, NothingToJudge)):
        return subject
    try:
        if isinstance(subject, Acks):
            return judge_acks(subject)
        if isinstance(subject, History):
            return check_linearizable(subject, model=model)
        return judge_trace(subject)
    except FormatError as error:
        return error
    except RecursionError:
        return FormatError(NESTED, line=1)


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Keep the garbage collector away while a file is taken apart.

    A long trace is millions of small objects without a cycle among them, and the collector would look at all of
    them again and again: measured on a million changes, that is two thirds of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# -- words ------------------------------------------------------------------------------------------------------


def _name(case: Case) -> str:
    if case.number is None:
        return ""
    return f" case {case.number}" + ("" if case.id is None else f" ({case.id})")


def _complaint(path: str | Path, case: Case, error: FormatError) -> str:
    line = "" if error.line is None else f":{error.line}"
    number = "" if case.number is None else f" case {case.number}:"
    return f"{path}{line}:{number} {error.reason}"


def _members(judged: _Judged) -> dict[str, Any]:
    """What the JSON object of a kind has besides file, id and verdict."""
    if isinstance(judged, TraceVerdict):
        return {"broken": list(judged.broken)}
    if isinstance(judged, LinearizabilityVerdict):
        return {"linearizable": judged.linearizable}
    if isinstance(judged, AckReport):
        return judged.lists()
    return {}


def _sentences(
    name: str, judged: TraceVerdict | AckReport | LinearizabilityVerdict | NothingToJudge
) -> Iterator[str]:
    if isinstance(judged, NothingToJudge):
        yield f"{name}: skipped: {judged.reason}"
    elif isinstance(judged, TraceVerdict):
        yield from _about_trace(name, judged)
    elif isinstance(judged, AckReport):
        yield from _about_acks(name, judged)
    else:
        yield from _about_history(name, judged)


def _about_trace(name: str, verdict: TraceVerdict) -> Iterator[str]:
    if verdict.verdict == "kept":
        yield f"{name}: kept"
    elif verdict.verdict == "inconclusive":
        why = f"stopped before all was quiet, with {_count(verdict.open_tail, 'change')} to come"
        yield f"{name}: inconclusive: {verdict.inconclusive or why}"
    else:
        yield f"{name}: broken: {', '.join(verdict.broken)}"
        for guarantee in verdict.broken:
            told: list[Breakage | WriteBreakage] = [*verdict.evidence, *verdict.writes]
            first = next(one for one in told if one.guarantee == guarantee)
            more = verdict.counts[guarantee] - 1
            yield f"    {first}" + (f"; and {more} more" if more else "")


def _about_acks(name: str, report: AckReport) -> Iterator[str]:
    lists = {kind: members for kind, members in report.lists().items() if members}
    reason = ""
    if report.verdict == "broken":
        reason = f": {', '.join(kind for kind in ('lost', 'phantom') if kind in lists)}"
    elif report.verdict == "inconclusive":
        reason = ": some writes are undetermined" if report.undetermined else ": no write was acknowledged"
    yield f"{name}: {report.verdict}{reason}"
    for kind, members in lists.items():
        ids = ", ".join(shown(one) for one in members[:10])
        yield f"    {kind}: {ids}" + (f"; and {len(members) - 10} more" if len(members) > 10 else "")


def _about_history(name: str, verdict: LinearizabilityVerdict) -> Iterator[str]:
    if verdict.linearizable is None:
        keys = (
            "" if verdict.open_keys == (None,) else f" with {_count(len(verdict.open_keys), 'key')} undecided"
        )
        limit = ", at the limit of memory" if verdict.out_of_memory else ""
        yield f"{name}: inconclusive: given up after {verdict.steps} configurations{keys}{limit}"
    elif verdict.linearizable:
        yield f"{name}: kept: linearizable ({verdict.model})"
    else:
        yield f"{name}: broken: not linearizable ({verdict.model})"
        yield f"    {verdict.evidence}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
