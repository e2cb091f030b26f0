"""Which addresses carry what the members of a cluster say to each other.

A storm leaves such links alone: members talk all the time, so no test decides what is at a place of theirs, and what
a fault there does to the store is nothing that the test's client has done.
"""

from __future__ import annotations

import os

__all__ = ["is_between_members", "members_are_gone", "members_talk_below"]

_folders: set[str] = set()


def members_talk_below(folder: str | os.PathLike[str]) -> None:
    """Unix sockets below this folder are those of members, until :func:`members_are_gone`."""
    _folders.add(_below(folder))


def members_are_gone(folder: str | os.PathLike[str]) -> None:
    """They are not any more. Idempotent."""
    _folders.discard(_below(folder))


def is_between_members(address: str) -> bool:
    """Whether a link that listens at this address carries what members say to each other.

    >>> members_talk_below("/tmp/cluster")
    >>> is_between_members("unix:/tmp/cluster/m1/m2:1"), is_between_members("127.0.0.1:2379")
    (True, False)
    >>> members_are_gone("/tmp/cluster")
    >>> is_between_members("unix:/tmp/cluster/m1/m2:1")
    False
    """
    return address.startswith(tuple(_folders))


def _below(folder: str | os.PathLike[str]) -> str:
    return f"unix:{os.fspath(folder)}{os.sep}"
