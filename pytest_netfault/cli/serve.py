"""``netfault serve``: links and faults over HTTP, for programs in any language and for the clients of Toxiproxy."""

from __future__ import annotations

import argparse
import os
import secrets

from pytest_netfault.cli.console import Console, Subparsers, path_argument, whole_number
from pytest_netfault.cli.exit_codes import CommandFailed

__all__ = ["add_parser", "run"]

_TOKEN_VARIABLE = "NETFAULT_SERVE_TOKEN"
_EPILOG = f"""\
Flags may have one dash or two, and their values may follow a blank or '=': --port 8474, -port=8474.
LOG_LEVEL is trace, debug, info (the default), warn, error or disabled; {_TOKEN_VARIABLE} is the same as --token.
Exit code: 0 after SIGTERM, 130 after Ctrl-C, 2 if it cannot listen.
example: netfault serve --config toxiproxy.json
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "serve",
        help="serve links and faults over HTTP, with the API of Toxiproxy",
        description="A server that the clients of Toxiproxy can use in its place. It serves until SIGTERM or Ctrl-C.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-host", "--host", default="localhost", help="where it is controlled (default: %(default)s)"
    )
    parser.add_argument(
        "-port",
        "--port",
        type=_port,
        default=8474,
        help="0 takes a free one, which the log names (default: %(default)s)",
    )
    parser.add_argument(
        "-config", "--config", type=path_argument, metavar="FILE", help="create the proxies of this file"
    )
    parser.add_argument(
        "-seed",
        "--seed",
        type=whole_number(),
        default=None,
        help="what toxicity, jitter and damage are drawn from; drawn anew by default, and logged",
    )
    parser.add_argument("-token", "--token", help="what control from another machine needs; drawn by default")
    _flag(parser, "no-token", "let every machine control it")
    _flag(
        parser,
        "toxics-in-config",
        "create the toxics of proxies that are created, in the file and by requests",
    )
    _flag(parser, "proxy-metrics", "show bytes of the proxies in /metrics")
    _flag(parser, "runtime-metrics", "show the state of this process in /metrics")
    _flag(parser, "until-stdin-ends", "end, as after SIGTERM, when the standard input ends")
    parser.add_argument(
        "-report-version",
        "--report-version",
        default="2.12.0",
        metavar="TEXT",
        help="what /version says (default: %(default)s)",
    )
    _flag(parser, "version", "print the version and end")


def _flag(parser: argparse.ArgumentParser, name: str, words: str) -> None:
    """A flag as Go's: ``-name``, ``--name`` or ``--name=false``."""
    parser.add_argument(f"-{name}", f"--{name}", nargs="?", const=True, default=False, type=_bool, help=words)


def _bool(text: str) -> bool:
    values = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"must be true or false, not {text[:60]!r}")
    return values[text.lower()]


def _port(text: str) -> int:
    number = whole_number(least=0)(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"must be at most 65535, not {number}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit code."""
    if arguments.version:
        Console().line(f"netfault serve, with the API of Toxiproxy {arguments.report_version}")
        return 0
    try:
        from pytest_netfault.serve.server import CannotServe, Settings, run_server
    except ModuleNotFoundError as error:
        raise CommandFailed(
            f"netfault serve needs {error.name}: python -m pip install 'pytest-netfault[serve]'"
        ) from error
    try:
        return run_server(
            Settings(
                host=arguments.host,
                port=arguments.port,
                config=arguments.config,
                seed=secrets.randbits(32) if arguments.seed is None else arguments.seed,
                report_version=arguments.report_version,
                proxy_metrics=arguments.proxy_metrics,
                runtime_metrics=arguments.runtime_metrics,
                toxics_in_config=arguments.toxics_in_config,
                token=arguments.token or os.environ.get(_TOKEN_VARIABLE) or None,
                needs_token=not arguments.no_token,
                until_stdin_ends=arguments.until_stdin_ends,
            )
        )
    except CannotServe as error:
        raise CommandFailed(str(error)) from error
