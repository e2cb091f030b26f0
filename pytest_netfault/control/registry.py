"""All links of this process that are open, whoever has made them: a storm acts on each of them.

A link that nobody refers to any more is not kept alive by this.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_netfault.control.link import Link

__all__ = ["name_frames", "names_frames", "note_opened", "open_links", "unwatch", "watch"]

_links: weakref.WeakSet[Link] = weakref.WeakSet()
_watchers: list[Callable[[Link], None]] = []
_naming: list[bool] = [False]


def note_opened(link: Link) -> None:
    """A link serves from now on."""
    _links.add(link)
    for watcher in tuple(_watchers):
        watcher(link)


def open_links() -> list[Link]:
    """Those that are open."""
    return [link for link in tuple(_links) if not link._link.closed]


def watch(watcher: Callable[[Link], None]) -> None:
    """Call this with each link that is opened from now on, in the thread that opens it."""
    _watchers.append(watcher)


def unwatch(watcher: Callable[[Link], None]) -> None:
    """Do not call it any more."""
    if watcher in _watchers:
        _watchers.remove(watcher)


def name_frames(wanted: bool) -> None:
    """Whether links that are opened from now on name frames even if they were not asked to."""
    _naming[0] = wanted


def names_frames() -> bool:
    """See :func:`name_frames`."""
    return _naming[0]
