"""How one etcd is run: its command line and its environment. Pure, but for reading our own environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["clean_environment", "flags_for"]


def flags_for(
    *,
    name: str,
    data: str,
    listen: str,
    client: str,
    peers: Mapping[str, str],
    heartbeat_milliseconds: int,
    election_milliseconds: int,
) -> list[str]:
    """The command line of one member of a new cluster.

    Args:
        name: the member's name.
        data: its directory.
        listen: the URL that it listens on for clients.
        client: the URL by which clients know it.
        peers: of each member, by name, the URL for the others.
        heartbeat_milliseconds: how often a leader is heard of.
        election_milliseconds: after how much silence another is elected.

    >>> flags = flags_for(name="a", data="d", listen="http://127.0.0.1:1", client="http://127.0.0.1:1",
    ...     peers={"a": "http://127.0.0.1:2"}, heartbeat_milliseconds=10, election_milliseconds=100)
    >>> flags[:3]
    ['--name=a', '--data-dir=d', '--listen-client-urls=http://127.0.0.1:1']
    """
    flags = {
        "name": name,
        "data-dir": data,
        "listen-client-urls": listen,
        "advertise-client-urls": client,
        "listen-peer-urls": peers[name],
        "initial-advertise-peer-urls": peers[name],
        "initial-cluster": ",".join(f"{member}={url}" for member, url in peers.items()),
        "heartbeat-interval": str(heartbeat_milliseconds),
        "election-timeout": str(election_milliseconds),
        "logger": "zap",
        "log-outputs": "stderr",
        "unsafe-no-fsync": "true",
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def clean_environment() -> dict[str, str]:
    """Ours without etcd's own variables: those would be taken for flags, and a conflict ends it at once."""
    keep = {"ETCD_UNSUPPORTED_ARCH"}
    return {name: value for name, value in os.environ.items() if name in keep or not name.startswith("ETCD_")}
