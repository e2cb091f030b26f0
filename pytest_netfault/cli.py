"""The ``netfault`` command: a thin front to what the package does.

    netfault demo                   a real etcd, the naive loop caught, the bundled wrapper proved
    netfault judge FILE...          judge recorded traces, histories and acknowledgements
    netfault replay TRACE           play the schedule of a recorded loss again
    netfault merge PLACE...         the parts of a proof as one report

Rules of this file: each command is a function that returns the exit code; what it needs is imported when it runs. What
a user did wrong or a machine lacks is one sentence on standard error and exit code 2, never a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


_EXAMPLES = """\
examples:
  netfault demo                                a minute that shows what this is for
  netfault demo --etcd docker --seed 7         the same with an etcd from an image, and other outages
  netfault judge netfault-reports/*/*.json     judge again what failing proofs have left
  netfault COMMAND --help                      what a command takes

The exit code is 0 when all is well, 1 when a promise was broken, 2 when it could not be judged.
`python -m pytest_netfault` is the same command.
"""


def _version() -> str:
    from importlib.metadata import version

    return version("pytest-netfault")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
        epilog="example: netfault demo --seed 7",
    )
    demo.add_argument("--seed", type=int, default=1, help="draws other outages (default: %(default)s)")
    demo.add_argument(
        "--examples", type=_positive, default=60, help="schedules for the wrapper (default: %(default)s)"
    )
    demo.add_argument(
        "--etcd",
        metavar="WHERE",
        help="HOST:PORT of a running etcd, PATH of a binary, or docker[:IMAGE]; found on this machine by default",
    )
    judge = commands.add_parser(
        "judge",
        help="judge recorded traces, histories and acknowledgements",
        description="Judges each file. Exit code: 0 kept, 1 broken, 2 unreadable, 3 inconclusive; the worst counts.",
        epilog="example: netfault judge netfault-reports/*.json --json",
        add_help=False,
    )
    judge.add_argument("rest", nargs=argparse.REMAINDER)
    replay = commands.add_parser(
        "replay",
        help="play the schedule of a recorded loss again, against a client of yours",
        add_help=False,
    )
    replay.add_argument("rest", nargs=argparse.REMAINDER)
    merge = commands.add_parser(
        "merge",
        help="make one report of the parts of a proof that was played on several machines or workers",
        description="Adds up what the parts of a proof came to, and sees that none is missing or counted twice.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 a part is missing, there twice or unreadable, 3 nothing was "
        "proved. example: netfault merge netfault-reports/sweep",
    )
    merge.add_argument("places", nargs="+", metavar="PLACE", help="files of parts, or folders that hold them")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["judge"]:
        # Its options are its own: whatever follows is handed on as it is.
        from pytest_netfault.judge import main as judge

        return judge(arguments[1:])
    if arguments[:1] == ["replay"]:
        return _replay(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    if options.command == "merge":
        return _merge(options.places)
    from pytest_netfault.demo import DemoImpossible, run_demo

    try:
        return run_demo(seed=options.seed, examples=options.examples, etcd=options.etcd)
    except DemoImpossible as error:
        print(f"netfault demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("netfault demo: interrupted; everything it had started has ended", file=sys.stderr)
        return 130


def _merge(places: Sequence[str]) -> int:
    from pytest_netfault import verify

    try:
        print(f"kept: {verify.merge(*places)}")
    except verify.UpdateLost as lost:
        print(f"{lost}\nIn all parts: {lost.report}")
        return 1
    except verify.ProvedNothing as nothing:
        print(nothing)
        return 3
    except ValueError as error:
        print(f"netfault merge: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _replay(arguments: Sequence[str]) -> int:
    from pytest_netfault.replaying import ReplayImpossible, add_arguments, run_replay

    parser = argparse.ArgumentParser(
        prog="netfault replay",
        description="Plays the schedule of a recorded loss again, against a client and a server of your choice.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 it could not be played, 3 a play proved nothing. "
        "example: netfault replay netfault-reports/update-lost-*.json --store stores.py:open_store",
    )
    add_arguments(parser)
    try:
        return run_replay(parser.parse_args(arguments))
    except ReplayImpossible as error:
        print(f"netfault replay: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("netfault replay: interrupted; everything it had started has ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
