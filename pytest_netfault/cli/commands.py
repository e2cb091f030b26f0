"""The ``netfault`` command line: finds the module of a command, reads the arguments, and runs it.

A command is one module with two functions, and its name in ``COMMANDS``:

``add_parser(commands)``    adds a parser, called as the module is, with help and arguments; imports nothing heavy
``run(arguments) -> int``   does it; returns the exit code, or raises :class:`.CommandFailed` with one sentence

It is run by :func:`.guarded`, where the meaning of the codes is documented.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from pytest_netfault.cli.console import Console, Parser, parsed
from pytest_netfault.cli.exit_codes import INTERRUPTED, CommandFailed, guarded
from pytest_netfault.common.printable import error_words

__all__ = ["COMMANDS", "main"]

#: The modules of the commands, in the order of the help.
COMMANDS = (
    "pytest_netfault.cli.demo",
    "pytest_netfault.cli.examples",
    "pytest_netfault.cli.prove",
    "pytest_netfault.cli.judge",
    "pytest_netfault.cli.replay",
    "pytest_netfault.cli.merge",
    "pytest_netfault.cli.export",
    "pytest_netfault.cli.index",
    "pytest_netfault.cli.serve",
)

_EXAMPLES = """\
examples:
  netfault demo                                a minute that shows what this is for
  netfault demo --etcd docker --seed 7         the same with an etcd from an image, and other outages
  netfault examples DIR                        the examples of the documentation, to run and to change
  netfault prove stores.py:open_store          a client of yours, under generated outages
  netfault judge netfault-reports/*/*.json     judge again what failing proofs have left
  netfault COMMAND --help                      what a command takes

The exit code is 0 when all is well; 1 when a promise was broken (an update was lost), and for no other reason; 2 when
that could not be found out, and one line on standard error says why; 3 when nothing was broken and nothing was proved;
130 after Ctrl-C. A reader of the output that leaves early, as `head` does, changes none of them.
`python -m pytest_netfault` is the same command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Raises:
        SystemExit: help was asked for (0), or the arguments are wrong (2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        commands = _commands(words)
        parser = _parser(commands)
        arguments = parsed(parser, words)
        if arguments.command is None:
            return guarded("netfault", lambda: _no_command(parser, commands))
        command = commands[arguments.command]
        return guarded(f"netfault {arguments.command}", lambda: int(command.run(arguments)))
    except KeyboardInterrupt:  # nothing has been started that would have to end
        return INTERRUPTED
    except Exception as error:  # a package that is missing, for one
        Console().complain(f"netfault: it failed: {error_words(error, place=True)}")
        return 2


def _commands(words: Sequence[str]) -> dict[str, ModuleType]:
    """The modules by the names of their commands; only the one that is named, so that no other is waited for."""
    names = {module.rpartition(".")[2]: module for module in COMMANDS}
    if words and words[0] in names:
        names = {words[0]: names[words[0]]}
    return {name: importlib.import_module(module) for name, module in names.items()}


def _parser(commands: dict[str, ModuleType]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="netfault",
        description="Network faults for tests, and a proof that no update is lost.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pytest-netfault {_version()}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for module in commands.values():
        module.add_parser(subparsers)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pytest-netfault")
    except PackageNotFoundError:
        return "(not installed)"


def _no_command(parser: argparse.ArgumentParser, commands: dict[str, ModuleType]) -> int:
    parser.print_help()
    *names, last = commands
    raise CommandFailed(f"name a COMMAND: {', '.join(names)} or {last}")
