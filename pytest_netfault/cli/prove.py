"""``netfault prove MODULE:NAME``: the proof as a gate of its own, for repositories without pytest.

    netfault prove stores.py:open_store --server etcd --output netfault-reports --summary github
    netfault prove --process "node store.js" --server servers.py:open_redis

It is :func:`pytest_netfault.verify.no_update_lost`, with its arguments as options and with the options of the plugin.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, get_args

from pytest_netfault import verify
from pytest_netfault.checks.trace import PROMISES
from pytest_netfault.cli.console import Console, Subparsers, path_argument, seconds, whole_number
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.cli.objects import named, opened_server
from pytest_netfault.cli.outcome import Outcome, exit_code, outcome_of
from pytest_netfault.cli.session import ProofSession
from pytest_netfault.common.files import why_no_file, why_no_folder, why_refused
from pytest_netfault.common.printable import represented
from pytest_netfault.faults import FAULTS, Fault
from pytest_netfault.proof.arguments import pick_seed
from pytest_netfault.proof.plans import Search
from pytest_netfault.proof.process_store import ProcessStore
from pytest_netfault.proof.shards import chosen_shard
from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS
from pytest_netfault.schedules.generate import ALL

__all__ = ["add_parser", "run", "run_prove"]

_WARNINGS = (verify.ClientFailure, verify.StoreLeftTasks, verify.StoreNotClosed)
# The options that make another proof, with what they are by default.
_REPEATED = {
    "process": None,
    "server": "etcd",
    "promise": PROMISES[0],
    "max_examples": 100,
    "max_seconds": None,
    "settle": 5.0,
    "notice": NOTICE_SECONDS,
    "shard": None,
    "search": "seeded",
}
_FAULTS = {kind.__name__.lower(): kind for kind in FAULTS}


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
        "prove",
        help="put a client of yours through generated outages, and say whether it loses an update",
        description="Draws schedules of writes and outages, plays them against a client and a real server, and "
        "compares what its subscriber received with the server's own log. What pytest does with a proof in a test is "
        "done here: seed, progress, a folder of files for what fails, a summary for the page of a job.",
        epilog="Exit code: 0 kept, 1 an update was lost, 2 wrong usage or something failed, 3 nothing was proved. "
        "example: netfault prove stores.py:open_store --server etcd --output netfault-reports",
    )
    parser.add_argument(
        "store",
        nargs="?",
        type=path_argument,
        metavar="MODULE:NAME",
        help="the function that opens your client, as stores:open_store or path/to/stores.py:open_store",
    )
    parser.add_argument(
        "--process",
        metavar="COMMAND",
        help="instead of it, a program that holds your client and speaks lines of JSON: 'node store.js'",
    )
    parser.add_argument(
        "--server",
        default=_REPEATED["server"],
        metavar="SERVER",
        help="etcd (found on this machine), HOST:PORT of a running etcd, docker, docker:IMAGE, the path of an etcd "
        "binary, or MODULE:NAME of a server object or of a function that makes one (default: %(default)s)",
    )
    _add_arguments_of_the_proof(parser)
    _add_options_of_the_session(parser)


def _add_arguments_of_the_proof(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the proof", "the arguments of verify.no_update_lost")
    group.add_argument(
        "--promise",
        choices=PROMISES,
        default=_REPEATED["promise"],
        help="what the client promises (default: %(default)s)",
    )
    group.add_argument(
        "--faults",
        action="append",
        metavar="NAME,...",
        help=f"which are drawn: {', '.join(_FAULTS)}, or MODULE:NAME of one of your own (default: all but corrupt)",
    )
    group.add_argument(
        "--max-examples",
        type=whole_number(least=1),
        default=_REPEATED["max_examples"],
        metavar="N",
        help="how many schedules are played (default: %(default)s)",
    )
    group.add_argument(
        "--max-seconds", type=seconds, metavar="SECONDS", help="bounds all of it together (default: no bound)"
    )
    group.add_argument(
        "--settle",
        type=seconds,
        default=_REPEATED["settle"],
        metavar="SECONDS",
        help="without any progress for so long, what is still missing is lost (default: 5)",
    )
    group.add_argument(
        "--notice",
        type=_notice,
        default=_REPEATED["notice"],
        metavar="SECONDS",
        help="in which the client must find out by itself that a flow died without a word, or none (default: "
        f"{NOTICE_SECONDS:g})",
    )
    group.add_argument(
        "--lanes",
        type=whole_number(least=1),
        metavar="N",
        help="how many schedules are played side by side (default: as many as suit this machine)",
    )
    group.add_argument(
        "--shard",
        type=_shard,
        metavar="N/M",
        help="play the N-th of M parts of it; auto is the part of this job of a CI system",
    )
    group.add_argument(
        "--search",
        choices=get_args(Search),
        default=_REPEATED["search"],
        help="guided: what was played decides what is played next (default: %(default)s)",
    )
    group.add_argument(
        "--report-dir",
        type=path_argument,
        metavar="DIR",
        help="where the trace of a loss is written (default: its folder in the DIR of --output)",
    )


def _add_options_of_the_session(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "the session", "the options of the pytest plugin, which has each as --netfault-NAME"
    )
    group.add_argument(
        "--seed",
        type=whole_number(least=0),
        metavar="N",
        help="draws the same schedules again (default: another one)",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="an inconclusive example makes the whole prove nothing (exit code 3)",
    )
    group.add_argument(
        "--output",
        type=path_argument,
        metavar="DIR",
        help="write what is known of a failure to a folder in DIR",
    )
    group.add_argument(
        "--summary",
        type=path_argument,
        metavar="FILE",
        help="append a short summary in Markdown to FILE; github is the step summary of GitHub Actions, and nothing "
        "elsewhere",
    )
    group.add_argument(
        "--keep",
        choices=("never", "on-failure"),
        default="never",
        help="on-failure: keep the server up after a failure until Ctrl-C (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the proof; return the exit code."""
    return run_prove(arguments)


def run_prove(options: argparse.Namespace, *, out: TextIO | None = None) -> int:
    """Prove a client, and show what came of it.

    Args:
        options: what :func:`add_parser` describes.
        out: where results are printed; the standard output if None.

    Returns:
        0 when nothing was lost, 1 when an update was, 3 when nothing was proved.

    Raises:
        CommandFailed: an argument is wrong; or the client or the server failed.
    """
    console = Console(out)
    output = _place("--output", options.output, why_no_folder)
    report_dir = _place("--report-dir", options.report_dir, why_no_folder)
    summary = _summary(options.summary)
    try:
        seed = pick_seed(options.seed)
    except ValueError as error:  # that of the environment
        raise CommandFailed(str(error)) from error
    name, store = _store(options)
    words = ",".join(options.faults or ()).split(",") if options.faults else []
    faults = [_fault(word.strip()) for word in words] or ALL
    with opened_server(options.server) as server:
        session = ProofSession(
            name=f"prove {name}",
            command=_again(options, seed),
            seed=seed,
            strict=options.strict,
            output=output,
            summary=summary,
            keep=options.keep == "on-failure",
            console=console,
        )
        if options.seed is None:
            console.line(f"netfault: seed {seed} (--seed={seed} repeats it)")
            console.flush()
        if report_dir is None and options.shard is not None:
            report_dir = session.folder()  # a part of a proof is written only where that was asked for
        came = session.run(
            server,
            lambda: _prove(
                console,
                store,
                server,
                promise=options.promise,
                faults=faults,
                max_examples=options.max_examples,
                max_seconds=options.max_seconds,
                seed=seed,
                settle=options.settle,
                notice=options.notice,
                lanes=options.lanes,
                shard=options.shard,
                search=options.search,
                report_dir=report_dir,
            ),
        )
    return exit_code(came)


def _prove(console: Console, store: Any, server: Any, **arguments: Any) -> Outcome:
    with _shown_warnings(console):
        return outcome_of(lambda: verify.no_update_lost(store, server, **arguments))


# -- what the arguments name ---------------------------------------------------------------------------------


def _store(options: argparse.Namespace) -> tuple[str, Any]:
    """What the client is called, and what opens it."""
    if (options.store is None) == (options.process is None):
        raise CommandFailed(
            "name one client: MODULE:NAME, such as stores.py:open_store, or --process with the command of a program"
        )
    if options.process is not None:
        return options.process, ProcessStore(_command(options.process))
    store = named(options.store, "MODULE:NAME")
    if not callable(store):
        raise CommandFailed(
            f"{options.store} must be a function that takes an address and returns a Store, not "
            f"{represented(store, limit=80)}"
        )
    return options.store, store


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CommandFailed(f"--process {text!r} is no command: {error}") from error
    if not words:
        raise CommandFailed("--process must be a command such as 'node store.js', not an empty one")
    if shutil.which(words[0]) is None:
        raise CommandFailed(f"--process {text!r}: there is no program {words[0]}")
    return words


def _fault(word: str) -> type[Fault] | Fault:
    if word.lower() in _FAULTS:
        return _FAULTS[word.lower()]
    if ":" not in word:
        raise CommandFailed(
            f"--faults must be names of faults ({', '.join(_FAULTS)}) or MODULE:NAME, not {word[:60]!r}"
        )
    found = named(word, "--faults")
    if not isinstance(found, Fault) and not (isinstance(found, type) and issubclass(found, Fault)):
        raise CommandFailed(f"--faults {word} is no fault: {represented(found, limit=80)}")
    return found


def _notice(text: str) -> float | None:
    return None if text == "none" else seconds(text)


def _shard(text: str) -> str:
    try:
        chosen_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _place(option: str, text: str | None, why_not: Any) -> Path | None:
    if text is None:
        return None
    wanted: Any = "a file" if why_not is why_no_file else "a directory"
    if refused := why_refused(text, Path(text), why_not, wanted):
        raise CommandFailed(f"{option} {refused}")
    return Path(text)


def _summary(text: str | None) -> Path | None:
    return _place(
        "--summary", os.environ.get("GITHUB_STEP_SUMMARY") if text == "github" else text, why_no_file
    )


def _again(options: argparse.Namespace, seed: int) -> str:
    """The command that draws the same schedules again; without what concerns only where files go."""
    words = ["netfault", "prove", *([] if options.store is None else [options.store])]
    for name, default in _REPEATED.items():
        value = getattr(options, name)
        if value != default:
            shown = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            words.append(f"--{name.replace('_', '-')}={shown}")
    words += [f"--faults={one}" for one in options.faults or ()]
    return shlex.join([*words, *(["--strict"] if options.strict else []), f"--seed={seed}"])


@contextmanager
def _shown_warnings(console: Console) -> Iterator[None]:
    """Show the warnings of a proof as one line each; those of the client are Python's to show."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], *more: Any, **other: Any) -> None:
            if issubclass(category, _WARNINGS):
                console.complain(f"netfault prove: {message}")
            else:
                show(message, category, *more, **other)

        for category in _WARNINGS:
            warnings.simplefilter("always", category)
        warnings.showwarning = shown
        yield
