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

__all__ = ["named", "names_object", "opened_server"]


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
    """The server that ``--server`` names, closed again if it was made here.

    ``etcd`` is one that is found on this machine; what ``--netfault-etcd`` takes (HOST:PORT, docker, docker:IMAGE, the
    path of a binary) is an etcd as well, and may have ``etcd:`` before it. MODULE:NAME is a server, or makes one.

    Raises:
        CommandFailed: there is no such server, or it does not start.
    """
    with contextlib.ExitStack() as stack:
        if names_object(text):
            server = named(text, "--server")
            if isinstance(server, type) or (callable(server) and not hasattr(server, "address")):
                server = _made(server, text, stack)
        else:
            server = _etcd(text)
            stack.callback(server.close)
        try:
            check_server(server)
        except TypeError as error:
            raise CommandFailed(f"--server {text}: {error}") from error
        yield server


def names_object(text: str) -> bool:
    """Whether ``--server`` names something in a module, and not an etcd.

    >>> [names_object(text) for text in ("stores:open_server", "my/stores.py:server")]
    [True, True]
    >>> [names_object(text) for text in ("etcd", "127.0.0.1:2379", "docker:image", "./etcd")]
    [False, False, False, False]
    """
    where, colon, name = text.rpartition(":")
    is_etcd = text.partition(":")[0] in ("etcd", "docker") or text.startswith("[")
    return bool(where and colon and name.isidentifier()) and not is_etcd


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


def _etcd(text: str) -> Any:
    from pytest_netfault.servers.errors import ServerError
    from pytest_netfault.servers.etcd.find import find_etcd

    kind, _, where = text.partition(":")
    known = kind == "etcd"
    option = "--server=etcd:" if known else "--server="
    try:
        return find_etcd((where or None) if known else text, named=option).start()
    except (ServerError, ValueError, OSError) as error:
        words = " ".join(str(error).split())
        if known:
            raise CommandFailed(f"--server etcd: {words}") from error
        hint = "a server of another kind is MODULE:NAME, such as stores:open_server"
        raise CommandFailed(f"{words}; {hint}") from error
