"""Packages whose public names are imported when they are first used, so that a session pays for none that it leaves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A ``__getattr__`` for a package.

    Args:
        package: its ``__name__``.
        homes: for each module below it, the names that it has, separated by spaces; for ``""`` names of such modules.

    >>> get = lazily("collections", {"abc": "Mapping Sequence"})
    >>> get("Mapping")
    <class 'collections.abc.Mapping'>
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def first_use(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = importlib.import_module(f"{package}.{home_of[name] or name}")
        value: object = getattr(home, name) if home_of[name] else home
        sys.modules[package].__dict__[name] = value
        return value

    return first_use
