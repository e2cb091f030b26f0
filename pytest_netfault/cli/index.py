"""``netfault index DIR``: one page about the folders that failing tests have left."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_netfault.cli.console import Console, Subparsers, path_argument
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.common.printable import error_words, printable

__all__ = ["add_parser", "run"]


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "index",
        help="write a page that lists what failing tests have left in a folder",
        description="Writes index.html into the folder of --netfault-output, with a row for each test. pytest does so "
        "at the end of a session; this is for folders that were put together from several jobs.",
        epilog="Exit code: 0 written, 2 it could not be, or there is nothing to list. "
        "example: netfault index artifacts",
    )
    parser.add_argument("directory", type=path_argument, metavar="DIR", help="the folder")


def run(arguments: argparse.Namespace) -> int:
    """Write the page; return the exit code.

    Raises:
        CommandFailed: there is nothing to list, or the page cannot be written.
    """
    from pytest_netfault.report.index import write_index

    directory = Path(arguments.directory)
    try:
        path = write_index(directory)
    except OSError as error:
        raise CommandFailed(f"{printable(str(directory))}: {error_words(error)}") from error
    if path is None:
        raise CommandFailed(f"{printable(str(directory))} has no folder that a test has left")
    Console().line(str(path))
    return 0
