"""Real servers for tests.

* `base`: `OwnedServer`, a server program of this machine on a port and in a folder of its own.
* `process`: `OwnedProcess`, a program that no test outlives.
* `ports`, `scratch`: `ReservedPort` and `ScratchDirectory`, a port and a folder that stay ours.
* `errors`: `ServerError`, `ServerNotFound`, `ServerUnreachable`.
* `peers`: which addresses carry what the members of a cluster say to each other.
* `etcd`: etcd in every way that it can be had.
* the rest is how: `tied` and `launcher` tie a process to this one, `owner` says whether the owner of a container is
  dead.

Each name is imported when it is first used, so that a session which uses no server pays for none.

>>> from pytest_netfault.servers import OwnedProcess, OwnedServer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_netfault.common.lazy import lazily

if TYPE_CHECKING:
    from pytest_netfault.servers.base import OwnedServer as OwnedServer
    from pytest_netfault.servers.errors import ServerError as ServerError
    from pytest_netfault.servers.errors import ServerNotFound as ServerNotFound
    from pytest_netfault.servers.errors import ServerUnreachable as ServerUnreachable
    from pytest_netfault.servers.ports import ReservedPort as ReservedPort
    from pytest_netfault.servers.process import OwnedProcess as OwnedProcess
    from pytest_netfault.servers.scratch import ScratchDirectory as ScratchDirectory

__all__ = [
    "OwnedProcess",
    "OwnedServer",
    "ReservedPort",
    "ScratchDirectory",
    "ServerError",
    "ServerNotFound",
    "ServerUnreachable",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "process": "OwnedProcess",
            "base": "OwnedServer",
            "ports": "ReservedPort",
            "scratch": "ScratchDirectory",
            "errors": "ServerError ServerNotFound ServerUnreachable",
        },
    )


def __dir__() -> list[str]:
    return sorted(__all__)
