"""What command lines name as ``MODULE:NAME``: a function that opens a client, a server, a function that makes one.

Importing a module, or making a server, can raise anything; what it raised is one sentence with the option's name.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_netfault.cli.exit_codes import CommandFailed
from pytest_netfault.common.printable import error_words
from pytest_netfault.proof.arguments import check_server

__all__ = ["named", "opened_server"]


def named(text: str, option: str) -> Any:
    """What ``module:name`` or ``path/to/file.py:name`` names; modules are looked for in the current folder, too.

    Raises:
        CommandFailed: it is not of that form, there is no such module or name, or importing it raised.
    """
    where, colon, name = text.rpartition(":")
    if not (where and colon and name.isidentifier()):
        raise CommandFailed(f"{option} must be MODULE:NAME, such as stores:open_store, not {text!r}")
    try:
        module = _module(where)
    except CommandFailed as error:
        raise CommandFailed(f"{option} {text}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module that calls sys.exit() when it is imported, for one
        raise CommandFailed(
            f"{option} {text}: importing {where} failed: {error_words(error, place=True)}"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise CommandFailed(f"{option} {text}: {where} has no {name}") from error


def _module(where: str) -> Any:
    if not where.endswith(".py"):
        if not all(part.isidentifier() for part in where.split(".")):
            raise CommandFailed(f"{where!r} is neither the name of a module nor a file that ends in .py")
        _look_in(Path.cwd())
        return importlib.import_module(where)
    path = Path(where).resolve()
    if not path.is_file():
        raise CommandFailed(f"there is no file {where}")
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
def opened_server(text: str) -> Iterator[Any]:
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
            raise CommandFailed(f"--server {text}: {error}") from error
        yield server


def _made(make: Any, text: str, stack: contextlib.ExitStack) -> Any:
    try:
        made = make()
        if hasattr(made, "__enter__"):
            return stack.enter_context(made)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CommandFailed(f"--server {text}: it did not start: {error_words(error, place=True)}") from error
    if callable(getattr(made, "close", None)):
        stack.callback(made.close)
    return made


def _etcd(where: str | None) -> Any:
    from pytest_netfault.servers.errors import ServerError
    from pytest_netfault.servers.etcd.find import find_etcd

    try:
        return find_etcd(where, named="--server=etcd:").start()
    except (ServerError, ValueError, OSError) as error:
        raise CommandFailed(f"--server etcd: {' '.join(str(error).split())}") from error
