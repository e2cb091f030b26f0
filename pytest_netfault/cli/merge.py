"""``netfault merge PLACE...``: the parts of a proof as one report."""

from __future__ import annotations

import argparse

from pytest_netfault import verify
from pytest_netfault.cli.console import Console, Subparsers, path_argument
from pytest_netfault.cli.exit_codes import CommandFailed

__all__ = ["add_parser", "run"]


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "merge",
        help="make one report of the parts of a proof that was played on several machines or workers",
        description="Adds up the results of the parts of a proof, and checks that none is missing or counted twice.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 a part is missing, there twice or unreadable, 3 nothing was "
        "proved. example: netfault merge netfault-reports/sweep",
    )
    parser.add_argument(
        "places",
        nargs="+",
        type=path_argument,
        metavar="PLACE",
        help="files of parts, or folders that hold them",
    )


def run(arguments: argparse.Namespace) -> int:
    """Merge the parts; return the exit code."""
    console = Console()
    try:
        console.line(f"kept: {verify.merge(*arguments.places)}")
    except verify.UpdateLost as lost:
        console.story(f"{lost}\nIn all parts: {lost.report}")
        return 1
    except verify.ProvedNothing as nothing:
        console.lines(str(nothing))
        return 3
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    return 0
