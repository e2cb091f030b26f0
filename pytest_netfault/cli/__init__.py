"""The ``netfault`` command: a thin front to what the package does.

    netfault demo                   a real etcd, the naive loop caught, the bundled wrapper proved
    netfault judge FILE...          judge recorded traces, histories and acknowledgements
    netfault replay TRACE           play the schedule of a recorded loss again
    netfault merge PLACE...         the parts of a proof as one report

Rules of this file: each command is a function that returns the exit code, and is run by :func:`.guarded`, where the
meaning of the codes stands; what it needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pytest_netfault.cli.console import Console, Parser, parsed, place, whole_number
from pytest_netfault.cli.exit_codes import INTERRUPTED, CommandFailed, guarded
from pytest_netfault.common.printable import error_words

__all__ = ["main"]


_EXAMPLES = """\
examples:
  netfault demo                                a minute that shows what this is for
  netfault demo --etcd docker --seed 7         the same with an etcd from an image, and other outages
  netfault judge netfault-reports/*/*.json     judge again what failing proofs have left
  netfault COMMAND --help                      what a command takes

The exit code is 0 when all is well; 1 when a promise was broken (an update was lost), and for no other reason; 2 when
that could not be found out, and one line on standard error says why; 3 when nothing was broken and nothing was proved;
130 after Ctrl-C. A reader of the output that leaves early, as `head` does, changes none of them.
`python -m pytest_netfault` is the same command.
"""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pytest-netfault")
    except PackageNotFoundError:
        return "(not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="netfault",
        description="Network faults for tests, and a proof that no update is lost.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pytest-netfault {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="catch the naive watch loop losing an update on a real etcd, and prove the wrapper beside it",
        description=(
            "Starts a real etcd, catches the naive 'watch, and when it ends watch again' loop losing an update under "
            "generated outages, prints the smallest schedule that does it, and puts the bundled wrapper through the "
            "same. Takes about a minute."
        ),
        epilog="Exit code: 0 the naive loop was caught and the wrapper kept its promise, 1 the wrapper lost an update, "
        "2 it could not be played, 3 the naive loop was not caught or nothing was proved. "
        "example: netfault demo --seed 7",
    )
    demo.add_argument(
        "--seed", type=whole_number(least=0), default=1, help="draws other outages (default: %(default)s)"
    )
    demo.add_argument(
        "--examples",
        type=whole_number(least=1),
        default=60,
        help="schedules for the wrapper (default: %(default)s)",
    )
    demo.add_argument(
        "--etcd",
        metavar="WHERE",
        help="HOST:PORT of a running etcd, PATH of a binary, or docker[:IMAGE]; found on this machine by default",
    )
    # These two have parsers of their own, which write their help.
    commands.add_parser("judge", help="judge recorded traces, histories and acknowledgements", add_help=False)
    commands.add_parser(
        "replay", help="play the schedule of a recorded loss again, against a client of yours", add_help=False
    )
    merge = commands.add_parser(
        "merge",
        help="make one report of the parts of a proof that was played on several machines or workers",
        description="Adds up what the parts of a proof came to, and sees that none is missing or counted twice.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 a part is missing, there twice or unreadable, 3 nothing was "
        "proved. example: netfault merge netfault-reports/sweep",
    )
    merge.add_argument(
        "places",
        nargs="+",
        type=place,
        metavar="PLACE",
        help="files of parts, or folders that hold them",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Raises:
        SystemExit: help was asked for (0), or the arguments are wrong (2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # what is not yet under way has nothing to end
        return INTERRUPTED
    except Exception as error:  # a package that is missing, for one
        Console().complain(f"netfault: it failed: {error_words(error, place=True)}")
        return 2


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["judge"]:
        from pytest_netfault.cli.judge import main as judge

        return judge(arguments[1:])
    if arguments[:1] == ["replay"]:
        return _replay(arguments[1:])
    parser = _parser()
    options = parsed(parser, arguments)
    if options.command is None:
        return guarded("netfault", lambda _console: _no_command(parser))
    command = _merge if options.command == "merge" else _demo
    return guarded(f"netfault {options.command}", lambda console: command(options, console))


def _no_command(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    raise CommandFailed("name a COMMAND: demo, judge, replay or merge")


def _demo(options: argparse.Namespace, _console: Console) -> int:
    from pytest_netfault.cli.demo import DemoImpossible, run_demo

    try:
        return run_demo(seed=options.seed, examples=options.examples, etcd=options.etcd)
    except DemoImpossible as error:
        raise CommandFailed(str(error)) from error


def _merge(options: argparse.Namespace, console: Console) -> int:
    from pytest_netfault import verify

    try:
        console.line(f"kept: {verify.merge(*options.places)}")
    except verify.UpdateLost as lost:
        console.lines(f"{lost}\nIn all parts: {lost.report}")
        return 1
    except verify.ProvedNothing as nothing:
        console.lines(str(nothing))
        return 3
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    return 0


def _replay(arguments: Sequence[str]) -> int:
    from pytest_netfault.cli.replay import ReplayImpossible, add_arguments, run_replay

    parser = Parser(
        prog="netfault replay",
        description="Plays the schedule of a recorded loss again, against a client and a server of your choice.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 it could not be played, 3 a play proved nothing. "
        "example: netfault replay netfault-reports/update-lost-*.json --store stores.py:open_store",
    )
    add_arguments(parser)
    options = parsed(parser, arguments)

    def play(_console: Console) -> int:
        try:
            return run_replay(options)
        except ReplayImpossible as error:
            raise CommandFailed(str(error)) from error

    return guarded(parser.prog, play)


if __name__ == "__main__":
    sys.exit(main())
