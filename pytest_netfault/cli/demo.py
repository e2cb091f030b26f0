"""``netfault demo``: one minute that shows what this project is for.

1. A real etcd is started.
2. The naive loop (``docs/examples/stores/naive_etcd3.py``) is put through generated outages until it loses an update;
   the smallest schedule that does it is shown.
3. The bundled wrapper (``docs/examples/stores/runtime_config_store.py``) is put through schedules of the same kind.

Both clients are the files that the documentation shows, loaded by path, so that this package imports neither ``etcd3``
nor the wrapper.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pytest_netfault import verify
from pytest_netfault.cli.console import Console, Subparsers, whole_number
from pytest_netfault.cli.examples import examples_folder
from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.cli.progress import progress_lines
from pytest_netfault.common.wording import counted
from pytest_netfault.proof.progress import progress_line
from pytest_netfault.proof.remembered import forgetful

if TYPE_CHECKING:
    from pytest_netfault.store import OpenStore

__all__ = ["add_parser", "example_store", "run", "run_demo"]

# Long enough for the naive loop to come back from everything that it comes back from (it waits 0.2 s), so that what is
# then missing is missing.
_NAIVE_SETTLE_SECONDS = 2.0
_NAIVE_EXAMPLES = 200
_NAIVE_SECONDS = 60.0


def add_parser(commands: Subparsers) -> None:
    """Add the command to those of ``netfault``."""
    parser = commands.add_parser(
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
    parser.add_argument(
        "--seed", type=whole_number(least=0), default=1, help="draws other outages (default: %(default)s)"
    )
    parser.add_argument(
        "--examples",
        type=whole_number(least=1),
        default=60,
        help="schedules for the wrapper (default: %(default)s)",
    )
    parser.add_argument(
        "--etcd",
        metavar="WHERE",
        help="HOST:PORT of a running etcd, PATH of a binary, or docker[:IMAGE]; found on this machine by default",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    return run_demo(seed=arguments.seed, examples=arguments.examples, etcd=arguments.etcd)


def example_store(name: str) -> OpenStore:
    """``open_store`` of one of the example clients, from a checkout or from the installed package.

    Raises:
        CommandFailed: the file, or a package that it imports, is not installed.
    """
    path = examples_folder() / "stores" / f"{name}.py"
    if not path.is_file():
        raise CommandFailed(
            f"the example {name}.py is not part of this installation; install from a checkout"
        )
    spec = importlib.util.spec_from_file_location(f"netfault_demo_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses of the file look their module up
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        del sys.modules[spec.name]
        if (error.name or "").partition(".")[0] in ("runtime_config", "etcd3", "grpc"):
            raise CommandFailed(
                "the bundled wrapper is not installed: pip install 'pytest-netfault[wrapper]', or from a checkout "
                "pip install -e wrapper"
            ) from error
        raise
    made: OpenStore = module.open_store
    return made


def run_demo(*, seed: int = 1, examples: int = 60, etcd: str | None = None, out: TextIO | None = None) -> int:
    """Run the demo and return its exit code.

    It is 0 when the naive loop was caught and the wrapper kept its promise, 1 when the wrapper lost an update, and 3
    when the naive loop was not caught, which is luck, or nothing was proved.

    Args:
        seed: which outages are drawn.
        examples: how many schedules the wrapper is put through.
        etcd: where the etcd is, as ``--etcd`` takes it; found on this machine if None.
        out: where results are printed; the standard output if None.

    Raises:
        CommandFailed: no etcd was found or it does not start, or an extra is missing.
    """
    console = Console(out)
    naive, wrapper = example_store("naive_etcd3"), example_store("runtime_config_store")

    def say(text: str = "") -> None:
        console.lines(text)
        console.flush()

    with _server(etcd) as server, _quiet("netfault_demo_naive_etcd3", "runtime_config"):
        say(f"1. A real etcd {server.version} serves at {server.address}.")
        say()
        say(f'2. The naive loop: "watch; when the stream ends, watch again" ({_file_of(naive)}).')
        caught = _catch(naive, server, seed=seed, console=console)
        if caught is None:
            say("   It lost nothing this time, which is luck: try another --seed.")
        else:
            say()
            say(_indented(str(caught)))
        say()
        say(f"3. The bundled wrapper, put through {counted(examples, 'schedule')} of the same kind.")
        kept = _prove(wrapper, server, seed=seed, examples=examples, console=console)
        if isinstance(kept, verify.Report):
            say(f"   Kept: {kept}.")
        else:
            say(_indented(str(kept)))
        say()
        return _conclude(caught is not None, kept, say)


def _file_of(store: OpenStore) -> str:
    """Where its code can be read on this machine: a checkout and an installation have it at different places."""
    path = Path(str(getattr(sys.modules.get(getattr(store, "__module__", "")), "__file__", "")))
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _conclude(caught: bool, came: verify.Report | AssertionError, say: Callable[[str], None]) -> int:
    kept = isinstance(came, verify.Report)
    if caught and kept:
        say(
            "So: the naive loop loses what is written between the end of one watch and the start of the next. The\n"
            "wrapper takes a snapshot, watches from the revision behind it, and after each outage goes on exactly\n"
            "where it was. Put your own client behind four methods and ask the same of it:\n\n"
            "    from pytest_netfault import verify\n\n"
            "    def test_no_update_is_lost(etcd_server):\n"
            "        verify.no_update_lost(open_store, etcd_server)"
        )
        return 0
    say(
        "So: "
        + ("the naive loop was caught" if caught else "the naive loop was not caught")
        + (
            ", and the wrapper kept its promise."
            if kept
            else ", and the wrapper did not keep its promise."
            if isinstance(came, verify.UpdateLost)
            else ", and nothing was proved of the wrapper."
        )
    )
    return 1 if isinstance(came, verify.UpdateLost) else 3


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep quiet the loggers of the clients, which log each lost connection."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _server(option: str | None) -> Iterator[Any]:
    from pytest_netfault.servers.errors import ServerError
    from pytest_netfault.servers.etcd.find import find_etcd

    try:
        server = find_etcd(option, named="--etcd=").start()
    except (ServerError, ValueError, OSError) as error:
        raise CommandFailed(" ".join(str(error).split())) from error
    try:
        yield server
    finally:
        server.close()


def _catch(store: OpenStore, server: Any, *, seed: int, console: Console) -> verify.UpdateLost | None:
    with progress_lines(console, "   ") as show, forgetful():
        try:
            verify.no_update_lost(
                store,
                server,
                seed=seed,
                max_examples=_NAIVE_EXAMPLES,
                max_seconds=_NAIVE_SECONDS,
                settle=_NAIVE_SETTLE_SECONDS,
                progress=lambda progress: show(progress_line(progress)),
            )
        except verify.UpdateLost as lost:
            return lost
        except verify.ProvedNothing:
            return None
    return None


def _prove(
    store: OpenStore, server: Any, *, seed: int, examples: int, console: Console
) -> verify.Report | AssertionError:
    with progress_lines(console, "   ") as show, forgetful():
        try:
            return verify.no_update_lost(
                store,
                server,
                seed=seed,
                max_examples=examples,
                progress=lambda progress: show(progress_line(progress)),
            )
        except (verify.UpdateLost, verify.ProvedNothing) as error:
            return error


def _indented(text: str) -> str:
    return "\n".join(f"   {line}".rstrip() for line in text.splitlines())
