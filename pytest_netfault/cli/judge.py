"""``netfault judge PLACE...``: read files, judge what they hold, print the verdicts.

A place is a file, or a folder: of that every ``*.json`` and ``*.jsonl`` below it that is one of the formats. Files of
ours that hold no promise (``events.json``) are skipped, with one line that says so. Verdicts go to the standard output;
a file that cannot be read is one line on standard error, with its name and the line number, and the others are judged
nevertheless.

Only the standard library is imported, so that a trace can be judged wherever Python runs. What a verdict is, and how it
reads, is decided in ``pytest_netfault.checks``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from pytest_netfault.checks.judging import Judged, Skipped, Unreadable, judge_text
from pytest_netfault.checks.models import MODELS
from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.cli.console import Console, Subparsers, path_argument
from pytest_netfault.cli.exit_codes import EXIT_CODES
from pytest_netfault.common.files import CannotRead, files_below, is_folder, read_text
from pytest_netfault.common.printable import json_text

__all__ = ["add_parser", "judge", "run"]

_PATTERNS = ("*.json", "*.jsonl")


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "judge",
        help="judge recorded traces, histories and acknowledgements",
        description="Judge recorded histories, traces and acknowledgements.",
        epilog="examples: netfault judge netfault-reports; netfault judge netfault-reports/*/*.json --json. "
        "Exit status: 0 kept, 1 broken, 2 unreadable or nothing to judge, 3 inconclusive; the worst counts.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=path_argument,
        metavar="PLACE",
        help="a history (*.jsonl), a trace or acknowledgements (*.json), or a folder with such files in it",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of sentences")
    parser.add_argument(
        "--model",
        choices=sorted(MODELS),
        help="judge histories against this model instead of the one that their operations imply",
    )


def run(arguments: argparse.Namespace) -> int:
    """Judge the files; return the exit code."""
    return judge(arguments.files, as_json=arguments.json, model=arguments.model)


def judge(
    paths: Sequence[str | Path],
    *,
    as_json: bool = False,
    model: str | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Judge files and print the verdicts; return the exit code.

    Args:
        paths: files and folders, in the order of the output.
        as_json: print one JSON array, an object for each file or case.
        model: the model for histories; None for the one that they imply.
        out: where verdicts go; the standard output if None.
        err: where the lines about unreadable files go; standard error if None.
    """
    console = Console(out, err)
    objects: list[dict[str, Any]] = []
    verdicts: set[VerdictName] = set()
    for one in map(Path, paths):
        found: set[VerdictName] = set()
        for path, judged in _judge_place(one, model):
            verdict = judged.verdict
            found.add(verdict.verdict)
            if isinstance(verdict, Unreadable):
                console.complain(_complaint(path, judged, verdict))
            if as_json:
                objects.append({"file": str(path), "id": judged.id, **verdict.to_json()})
            elif not isinstance(verdict, Unreadable):
                first, *details = verdict.lines()
                for line in (f"{path}{_case(judged)}: {first}", *details):
                    console.line(line)
        if found <= {"skipped"} and is_folder(one):
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
    # An unreadable case counts as an unreadable file does, because a suite that lost a case must not pass; and so does
    # a run in which there was nothing to judge.
    return next((code for verdict, code in EXIT_CODES.items() if verdict in verdicts), 0)


def _judge_place(file_or_folder: Path, model: str | None) -> Iterator[tuple[Path, Judged]]:
    if not is_folder(file_or_folder):
        for judged in _judge_file(file_or_folder, model):
            yield file_or_folder, judged
        return
    try:
        for path in files_below(file_or_folder, *_PATTERNS):
            for judged in _judge_file(path, model):
                if (
                    isinstance(judged.verdict, Unreadable)
                    and judged.verdict.foreign
                    and judged.number is None
                ):
                    judged = Judged(None, None, Skipped("no history, trace or acknowledgements"))
                yield path, judged
    except CannotRead as error:
        yield file_or_folder, Judged(None, None, Unreadable(error.reason))


def _judge_file(path: Path, model: str | None) -> Iterator[Judged]:
    try:
        text = read_text(path)
    except CannotRead as error:
        yield Judged(None, None, Unreadable(error.reason, error.line))
        return
    yield from judge_text(text, model=model)


def _case(judged: Judged) -> str:
    if judged.number is None:
        return ""
    return f" case {judged.number}" + ("" if judged.id is None else f" ({judged.id})")


def _complaint(path: Path, judged: Judged, unreadable: Unreadable) -> str:
    line = "" if unreadable.line is None else f":{unreadable.line}"
    number = "" if judged.number is None else f" case {judged.number}:"
    return f"{path}{line}:{number} {unreadable.reason}"
