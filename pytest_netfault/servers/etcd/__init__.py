"""Real etcds for tests: found on this machine, started, attached to, and read for what they committed.

* `find`: `find_etcd` takes the etcd that is named, or finds one.
* `server`: `EtcdServer` owns one etcd process, `AttachedEtcd` reads one that somebody else runs.
* `cluster`: `EtcdCluster`, three members whose peer traffic goes through links.
* `docker`: `EtcdContainer`, an etcd from a Docker image.
* `log`: `LogRevision` and `LogEvent`, what a store committed.
* the rest is how: `gateway` (etcd's JSON gateway), `collector` (the whole log), `process`.

Each name is imported when it is first used, so that a session without an etcd pays for none.

>>> from pytest_netfault.servers.etcd import EtcdServer
>>> EtcdServer("/usr/bin/etcd")
etcd
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_netfault.common.lazy import lazily

if TYPE_CHECKING:
    from pytest_netfault.servers.etcd.cluster import EtcdCluster as EtcdCluster
    from pytest_netfault.servers.etcd.docker import EtcdContainer as EtcdContainer
    from pytest_netfault.servers.etcd.find import EtcdBinary as EtcdBinary
    from pytest_netfault.servers.etcd.find import find_binary as find_binary
    from pytest_netfault.servers.etcd.find import find_etcd as find_etcd
    from pytest_netfault.servers.etcd.server import AttachedEtcd as AttachedEtcd
    from pytest_netfault.servers.etcd.server import EtcdServer as EtcdServer

__all__ = [
    "AttachedEtcd",
    "EtcdBinary",
    "EtcdCluster",
    "EtcdContainer",
    "EtcdServer",
    "find_binary",
    "find_etcd",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "server": "AttachedEtcd EtcdServer",
            "find": "EtcdBinary find_binary find_etcd",
            "cluster": "EtcdCluster",
            "docker": "EtcdContainer",
        },
    )


def __dir__() -> list[str]:
    return sorted(__all__)
