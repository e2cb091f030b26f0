"""``netfault export PAGE``: a timeline as Chrome trace events, for Perfetto."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pytest_netfault.cli.console import Console, Subparsers, path_argument
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.common.files import write_whole
from pytest_netfault.common.printable import error_words, printable

__all__ = ["add_parser", "run"]


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "export",
        help="write a timeline as Chrome trace events, for Perfetto",
        description="Writes the timeline of a page as Chrome trace events, which https://ui.perfetto.dev opens.",
        epilog="Exit code: 0 written, 2 it could not be. example: netfault export out/*/report.html",
    )
    parser.add_argument(
        "pages",
        nargs="+",
        type=path_argument,
        metavar="PAGE",
        help="a report.html or update-lost-*.html that this package wrote",
    )
    parser.add_argument(
        "--output",
        type=path_argument,
        metavar="FILE",
        help="where to; by default beside the page, with .trace instead of .html. Only for one page",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the files; return the exit code.

    Raises:
        CommandFailed: a page has no timeline, or a file cannot be read or written.
    """
    from pytest_netfault.report.html import embedded
    from pytest_netfault.report.trace_events import trace_events

    if arguments.output and len(arguments.pages) > 1:
        raise CommandFailed(f"--output takes the timeline of one page, not of {len(arguments.pages)}")
    console = Console()
    for page in map(Path, arguments.pages):
        try:
            timeline = embedded(page.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandFailed(f"{printable(str(page))}: {error_words(error)}") from error
        target = Path(arguments.output) if arguments.output else page.with_suffix(".trace")
        try:
            write_whole(target, json.dumps(trace_events(timeline), ensure_ascii=False) + "\n")
        except OSError as error:
            raise CommandFailed(f"{printable(str(target))}: {error_words(error)}") from error
        console.line(str(target))
    return 0
