"""Protocols of your own: framers that are found beside ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pytest_netfault.framers.base import Framer
from pytest_netfault.framers.names import OWN, protocol_named

__all__ = ["Registered", "register", "registered", "unregister"]


@dataclass(frozen=True)
class Registered:
    """A protocol that somebody has registered."""

    framers: Callable[[], tuple[Framer, Framer]]
    recognizes: Callable[[bytes, bytes], bool | None]


registered: dict[str, Registered] = {}


def register(
    name: str,
    framers: Callable[[], tuple[Framer, Framer]],
    recognizes: Callable[[bytes, bytes], bool | None],
) -> None:
    """Name the frames of a protocol of your own, wherever ours are named.

    Framers must be as ours are: whatever they are fed, they do not raise, and remember little; they are copied with
    ``copy.deepcopy``. In the workers of an executor the protocol must be registered too: do it where the module of
    your client is imported.

    Args:
        name: lower-case letters and digits, such as ``"chat"``.
        framers: makes the framers of a connection: up, down.
        recognizes: whether a connection speaks it that began with these bytes, up and down; None if more must be seen.

    Raises:
        TypeError, ValueError: the name is none, or one of ours.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r}")
    if re.fullmatch(r"[a-z][a-z0-9]*", name) is None:
        raise ValueError(f"name must be lower-case letters and digits such as 'chat', not {name!r}")
    if name not in registered and protocol_named(name) is not None:
        raise ValueError(f"name must be one that nobody has yet; {name!r} is a protocol of this package")
    OWN.add(name)
    registered[name] = Registered(framers, recognizes)


def unregister(name: str) -> None:
    """Know a protocol of your own no more. Does nothing for one that was not registered."""
    OWN.discard(name)
    registered.pop(name, None)
