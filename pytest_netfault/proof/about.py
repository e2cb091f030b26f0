"""What a proof is about, for people who read its report: the test, the client, the server, and who called it."""

from __future__ import annotations

import inspect
import linecache
import os
from dataclasses import dataclass

from pytest_netfault.common.callers import source_line
from pytest_netfault.common.printable import represented
from pytest_netfault.proof import host

__all__ = ["NOTHING_KNOWN", "About", "about"]


@dataclass(frozen=True)
class About:
    """What a proof is about.

    Attributes:
        test: the name of the test, or of what else runs the proof; empty if nobody knows.
        called_at: ``file:line`` of the call, and the source of that line; empty if it is not in a file.
        store: the function that opens the client, as ``file.py:name`` where it can be named so; else empty.
        store_name: what the client is called.
        server: what the server is called, with its address and version.
        server_option: for ``netfault replay --server``; empty for an etcd of this machine.
    """

    test: str = ""
    called_at: str = ""
    store: str = ""
    store_name: str = ""
    server: str = ""
    server_option: str = ""

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is known, as pairs of a name and a text."""
        known = (
            ("test", self.test),
            ("called at", self.called_at),
            ("store", self.store_name),
            ("server", self.server),
        )
        return tuple((name, text) for name, text in known if text)


NOTHING_KNOWN = About()


def about(open_store: object, server: object) -> About:
    """What a proof of this client with this server is about; asked in the thread that called the proof."""
    session = host.current()
    address = getattr(server, "address", None)
    version = getattr(server, "version", None)
    described = represented(server, limit=80)
    if isinstance(address, str) and address not in described:
        described += f" at {address}"
    if isinstance(version, str) and version:
        described += f", version {version}"
    etcd = any(kind.__name__ in ("Etcd", "SharedEtcd") for kind in type(server).__mro__)
    return About(
        test="" if session is None else session.test,
        called_at=_called_at(),
        store=_place_of(open_store),
        store_name=_name_of(open_store),
        server=described,
        server_option="" if etcd else "MODULE:server",
    )


def _called_at() -> str:
    place = source_line()
    path, _, line = place.rpartition(":")
    if not path.endswith(".py"):
        return ""
    source = linecache.getline(path, int(line)).strip()
    return f"{place}: {source}" if source else place


def _name_of(open_store: object) -> str:
    name = getattr(open_store, "__qualname__", "")
    module = getattr(open_store, "__module__", "")
    return f"{module}.{name}" if name and module else represented(open_store, limit=80)


def _place_of(open_store: object) -> str:
    """Where ``netfault replay --store`` finds it: a function or a class at the top of a file."""
    name = getattr(open_store, "__qualname__", "")
    if not name.isidentifier() or not callable(open_store):
        return ""
    try:
        file = inspect.getsourcefile(inspect.unwrap(open_store))
    except TypeError:
        return ""
    if file is None or not file.endswith(".py"):
        return ""
    below = os.path.relpath(file)
    return f"{file if below.startswith(os.pardir) else below}:{name}"
