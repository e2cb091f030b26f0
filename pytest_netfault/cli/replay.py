"""``netfault replay TRACE``: play the schedule of a recorded loss again, against a client of your choice.

    netfault replay netfault-reports/update-lost-seed1-r0000000017.json --store stores.py:open_store --server etcd

The trace that a failing proof leaves behind (``report_dir``) holds the schedule, the seed, the promise and how long
the subscriber was waited for; all of them are taken over unless the command line says otherwise. So a loss that CI
has found is seen again on a developer's machine, and a client that was mended is put to the same test.

Rules of this file: what names a file, a store or a server is checked before anything is started. What is wrong with
it is one sentence (:class:`ReplayImpossible`), with file and line where there is one. The server that was started
here is closed here.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pytest_netfault import verify
from pytest_netfault.checks.locate import line_of
from pytest_netfault.checks.reading import NESTED, FormatError, decode, finite, shown
from pytest_netfault.cli.console import Console, place, whole_number
from pytest_netfault.common.files import CannotRead, read_text
from pytest_netfault.common.printable import error_words, represented
from pytest_netfault.common.wording import counted
from pytest_netfault.proof.arguments import check_directory, check_server
from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS
from pytest_netfault.schedules.schedule import Schedule

__all__ = ["Recorded", "ReplayImpossible", "add_arguments", "named", "read_recorded", "run_replay"]

_PROMISES = ("every-event", "latest-value")


class ReplayImpossible(Exception):
    """Something that the replay needs is not there or not what it should be; the message is one sentence."""


@dataclass(frozen=True)
class Recorded:
    """What a trace says about the play that it comes from.

    Attributes:
        schedule: what was played.
        promise: what was promised.
        seed: the seed of what is random inside a fault; None if it was not recorded.
        settle: how long the subscriber was waited for, in seconds; None if it was not recorded.
        notice: the same where a flow died without a word; None if ``settle`` held there too.
    """

    schedule: Schedule
    promise: Any = "every-event"
    seed: int | None = None
    settle: float | None = None
    notice: float | None = NOTICE_SECONDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``netfault replay``."""
    parser.add_argument(
        "trace", type=place, metavar="TRACE", help="the *.json that a failing proof wrote to its report_dir"
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
    parser.add_argument("--promise", choices=_PROMISES, help="instead of the recorded one")
    parser.add_argument("--settle", type=float, metavar="SECONDS", help="instead of the recorded ones")
    parser.add_argument(
        "--notice", type=float, metavar="SECONDS", help="the same where a flow dies without a word"
    )
    parser.add_argument("--seed", type=whole_number(), metavar="N", help="instead of the recorded one")
    parser.add_argument("--report-dir", type=place, metavar="DIR", help="write the trace of a loss there")


def run_replay(options: argparse.Namespace, *, out: TextIO | None = None) -> int:
    """Play the schedule of a trace, as often as asked for, and print what came of it.

    Args:
        options: what :func:`add_arguments` reads.
        out: where the story goes; standard output if None.

    Returns:
        0 when nothing was lost, 1 when an update was, 3 when none was but a play proved nothing.

    Raises:
        ReplayImpossible: the trace, the store or the server is not what it should be; or one of them raised.
    """
    console = Console(out)
    recorded = read_recorded(Path(options.trace), missing_ok=True)
    if options.times < 1:
        raise ReplayImpossible(f"--times must be at least 1, not {options.times}")
    for name, seconds in (("settle", options.settle), ("notice", options.notice)):
        if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
            raise ReplayImpossible(f"--{name} must be more than 0 seconds and finite, not {seconds:g}")
    try:
        directory = None if options.report_dir is None else check_directory(options.report_dir)
    except ValueError as error:
        raise ReplayImpossible(f"--report-dir: {error}") from error
    store = named(options.store, "--store")
    if not callable(store):
        raise ReplayImpossible(
            f"--store {options.store} must be a function that takes an address and returns a Store, not "
            f"{represented(store, limit=80)}"
        )
    recorded = read_recorded(Path(options.trace))  # the store's module may have brought the faults of its own
    settle = options.settle or recorded.settle or 5.0
    told: set[type] = set()
    lost = nothing = 0
    with _server(options.server) as server:
        for _ in range(options.times):
            came = _play(
                store,
                server,
                recorded.schedule,
                promise=options.promise or recorded.promise,
                seed=recorded.seed if options.seed is None else options.seed,
                settle=settle,
                notice=options.notice or recorded.notice,
                report_dir=directory,
            )
            lost += isinstance(came, verify.UpdateLost)
            nothing += isinstance(came, verify.ProvedNothing)
            if type(came) not in told:  # the second play tells the same story
                told.add(type(came))
                console.lines(f"kept: {came}" if isinstance(came, verify.Report) else str(came))
                console.flush()
    if options.times > 1:
        more = f", nothing proved in {nothing}" if nothing else ""
        console.line(f"lost in {lost} of {counted(options.times, 'play')}{more}")
    return 1 if lost else 3 if nothing else 0


def _play(
    store: Any, server: Any, schedule: Schedule, **arguments: Any
) -> verify.Report | verify.UpdateLost | verify.ProvedNothing:
    try:
        return verify.replay(store, server, schedule, **arguments)
    except (verify.UpdateLost, verify.ProvedNothing) as error:
        return error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a client that ends the process has kept nothing
        raise ReplayImpossible(
            f"the client or the server failed: {error_words(error, place=True)}"
        ) from error


# -- the trace ------------------------------------------------------------------------------------------------


def read_recorded(path: Path, *, missing_ok: bool = False) -> Recorded:
    """Read what was played from the trace of a loss, or from a file with a schedule alone (``{"steps": [...]}``).

    Raises:
        ReplayImpossible: the file cannot be read, or holds no schedule; with its line where that is known.
    """
    if path.suffix == ".py":
        raise ReplayImpossible(
            f"{path}: give the trace, {path.with_suffix('.json').name}, which stands beside it"
        )
    try:
        text = read_text(path)
    except CannotRead as error:
        raise ReplayImpossible(f"{path}: {error.reason}") from error
    try:
        return _recorded(decode(text), missing_ok)
    except FormatError as error:
        line = error.line or line_of(text, error.path)
        raise ReplayImpossible(f"{path}:{line}: {error.reason}") from error
    except RecursionError as error:
        raise ReplayImpossible(f"{path}:1: {NESTED}") from error


def _recorded(document: Any, missing_ok: bool) -> Recorded:
    if not isinstance(document, dict) or not ({"schedule", "steps"} & set(document)):
        raise FormatError(
            "there is no schedule in it: only a trace that a proof wrote to its report_dir has one"
        )
    if "schedule" not in document:
        return Recorded(_schedule(document, (), missing_ok))
    promise, seed, settle = (document.get(name) for name in ("promise", "seed", "settle"))
    if promise is not None and promise not in _PROMISES:
        raise FormatError(
            f"promise must be {' or '.join(map(repr, _PROMISES))}, not {shown(promise)}", ("promise",)
        )
    if seed is not None and type(seed) is not int:
        raise FormatError(f"seed must be a whole number or null, not {shown(seed)}", ("seed",))
    if settle is not None and not (finite(settle) and settle > 0):
        raise FormatError(f"settle must be more than 0 seconds, not {shown(settle)}", ("settle",))
    notice = document.get("notice", NOTICE_SECONDS)
    if notice is not None and not (finite(notice) and notice > 0):
        raise FormatError(f"notice must be more than 0 seconds or null, not {shown(notice)}", ("notice",))
    schedule = _schedule(document["schedule"], ("schedule",), missing_ok)
    return Recorded(schedule, promise or "every-event", seed, settle, notice)


def _schedule(data: Any, at: tuple[str | int, ...], missing_ok: bool) -> Schedule:
    try:
        return Schedule.from_json(data, missing_ok=missing_ok)
    except (ValueError, TypeError, OverflowError) as error:
        # "step 3: ...": the place in the list, counted from 1
        words = str(error)
        number = words[5:].partition(":")[0] if words.startswith("step ") else ""
        inner = (*at, "steps", int(number) - 1) if number.isdigit() else at
        raise FormatError(f"the schedule cannot be played: {words}", inner) from error


# -- the store and the server ---------------------------------------------------------------------------------


def named(text: str, option: str) -> Any:
    """What ``module:name`` or ``path/to/file.py:name`` names; modules are looked for in the current folder, too.

    Raises:
        ReplayImpossible: it is not of that form, there is no such module or name, or importing it raised.
    """
    where, colon, name = text.rpartition(":")
    if not (where and colon and name.isidentifier()):
        raise ReplayImpossible(f"{option} must be MODULE:NAME, such as stores:open_store, not {text!r}")
    try:
        module = _module(where)
    except ReplayImpossible as error:
        raise ReplayImpossible(f"{option} {text}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module that calls sys.exit() when it is imported, for one
        raise ReplayImpossible(
            f"{option} {text}: importing {where} failed: {error_words(error, place=True)}"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise ReplayImpossible(f"{option} {text}: {where} has no {name}") from error


def _module(where: str) -> Any:
    if not where.endswith(".py"):
        if not all(part.isidentifier() for part in where.split(".")):
            raise ReplayImpossible(f"{where!r} is neither the name of a module nor a file that ends in .py")
        _look_in(Path.cwd())
        return importlib.import_module(where)
    path = Path(where).resolve()
    if not path.is_file():
        raise ReplayImpossible(f"there is no file {where}")
    _look_in(path.parent)  # what it imports stands beside it
    spec = importlib.util.spec_from_file_location(f"netfault_replay_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@contextlib.contextmanager
def _server(text: str) -> Iterator[Any]:
    """The server that ``--server`` names, closed again if it was made here."""
    kind, _, where = text.partition(":")
    with contextlib.ExitStack() as stack:
        if kind == "etcd":
            server = _etcd(where or None)
            stack.callback(server.close)
        else:
            server = named(text, "--server")
            if callable(server) and not hasattr(server, "address"):
                server = _made(server, text, stack)
        try:
            check_server(server)
        except TypeError as error:
            raise ReplayImpossible(f"--server {text}: {error}") from error
        yield server


def _made(make: Any, text: str, stack: contextlib.ExitStack) -> Any:
    try:
        made = make()
        if hasattr(made, "__enter__"):
            return stack.enter_context(made)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ReplayImpossible(
            f"--server {text}: it did not start: {error_words(error, place=True)}"
        ) from error
    if callable(getattr(made, "close", None)):
        stack.callback(made.close)
    return made


def _etcd(where: str | None) -> Any:
    from pytest_netfault.servers.errors import ServerError
    from pytest_netfault.servers.etcd.find import find_etcd

    try:
        return find_etcd(where, named="--server=etcd:").start()
    except (ServerError, ValueError, OSError) as error:
        raise ReplayImpossible(f"--server etcd: {' '.join(str(error).split())}") from error
