"""``netfault replay TRACE``: play the schedule of a recorded loss again, against a client of your choice.

    netfault replay netfault-reports/update-lost-seed1-r0000000017.json --store stores.py:open_store --server etcd

Schedule, seed, promise and waiting times are those of the trace unless the command line says otherwise. So a loss that
CI has found is reproduced on a developer's machine, and a client that was fixed is tested with the same schedule.

What names a file, a store or a server is checked before anything is started. A server that is started here is closed
here.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TextIO

from pytest_netfault import verify
from pytest_netfault.checks.trace import PROMISES
from pytest_netfault.cli.console import Console, Subparsers, path_argument, whole_number
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.cli.objects import named, opened_server
from pytest_netfault.cli.outcome import outcome_of
from pytest_netfault.cli.recorded import read_recorded
from pytest_netfault.common.printable import represented
from pytest_netfault.common.wording import counted
from pytest_netfault.proof.arguments import check_directory

__all__ = ["add_parser", "run", "run_replay"]


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "replay",
        help="play the schedule of a recorded loss again, against a client of yours",
        description="Plays the schedule of a recorded loss again, against a client and a server of your choice.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 it could not be played, 3 a play proved nothing. "
        "example: netfault replay netfault-reports/update-lost-*.json --store stores.py:open_store",
    )
    parser.add_argument(
        "trace",
        type=path_argument,
        metavar="TRACE",
        help="the *.json that a failing proof wrote to its report_dir",
    )
    parser.add_argument(
        "--store",
        required=True,
        metavar="MODULE:NAME",
        help="the function that opens your client, as stores:open_store or path/to/stores.py:open_store",
    )
    parser.add_argument(
        "--server",
        default="etcd",
        metavar="SERVER",
        help="etcd, etcd:WHERE (as --netfault-etcd takes it), or MODULE:NAME of a server object or of a function that "
        "makes one (default: %(default)s)",
    )
    parser.add_argument(
        "--times", type=whole_number(), default=1, metavar="N", help="play it so often (default: %(default)s)"
    )
    parser.add_argument("--promise", choices=PROMISES, help="instead of the recorded one")
    parser.add_argument("--settle", type=float, metavar="SECONDS", help="instead of the recorded ones")
    parser.add_argument(
        "--notice", type=float, metavar="SECONDS", help="the same where a flow dies without a word"
    )
    parser.add_argument("--seed", type=whole_number(), metavar="N", help="instead of the recorded one")
    parser.add_argument(
        "--report-dir", type=path_argument, metavar="DIR", help="write the trace of a loss there"
    )


def run(arguments: argparse.Namespace) -> int:
    """Play it; return the exit code."""
    return run_replay(arguments)


def run_replay(options: argparse.Namespace, *, out: TextIO | None = None) -> int:
    """Play the schedule of a trace, as often as asked for, and print what came of it.

    Args:
        options: what :func:`add_parser` describes.
        out: where results are printed; the standard output if None.

    Returns:
        0 when nothing was lost, 1 when an update was, 3 when none was but a play proved nothing.

    Raises:
        CommandFailed: the trace, the store or the server is not what it should be; or one of them raised.
    """
    console = Console(out)
    recorded = read_recorded(Path(options.trace), missing_ok=True)
    if options.times < 1:
        raise CommandFailed(f"--times must be at least 1, not {options.times}")
    for name, seconds in (("settle", options.settle), ("notice", options.notice)):
        if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
            raise CommandFailed(f"--{name} must be more than 0 seconds and finite, not {seconds:g}")
    try:
        directory = None if options.report_dir is None else check_directory(options.report_dir)
    except ValueError as error:
        raise CommandFailed(f"--report-dir: {error}") from error
    store = named(options.store, "--store")
    if not callable(store):
        raise CommandFailed(
            f"--store {options.store} must be a function that takes an address and returns a Store, not "
            f"{represented(store, limit=80)}"
        )
    recorded = read_recorded(Path(options.trace))  # the store's module may have brought the faults of its own
    settle = options.settle or recorded.settle or 5.0
    shown: set[type] = set()
    lost = nothing = 0
    with opened_server(options.server) as server:
        for _ in range(options.times):
            came = outcome_of(
                lambda: verify.replay(
                    store,
                    server,
                    recorded.schedule,
                    promise=options.promise or recorded.promise,
                    seed=recorded.seed if options.seed is None else options.seed,
                    settle=settle,
                    notice=options.notice or recorded.notice,
                    report_dir=directory,
                )
            )
            lost += isinstance(came, verify.UpdateLost)
            nothing += isinstance(came, verify.ProvedNothing)
            if type(came) not in shown:  # the second play tells the same story
                shown.add(type(came))
                console.story(f"kept: {came}" if isinstance(came, verify.Report) else str(came))
                console.flush()
    if options.times > 1:
        more = f", nothing proved in {nothing}" if nothing else ""
        console.line(f"lost in {lost} of {counted(options.times, 'play')}{more}")
    return 1 if lost else 3 if nothing else 0
