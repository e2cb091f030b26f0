"""Old names of public things, which keep working for one release."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["renamed"]


def renamed(
    module: str, otherwise: Callable[[str], Any] | None = None, /, **names: str
) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module: an old name gives the object of the new one, and a ``DeprecationWarning``.

    Args:
        module: its ``__name__``.
        otherwise: the ``__getattr__`` for other names; without it there is none.
        names: old names with the new ones, all of this module.
    """

    def old_name(name: str) -> Any:
        if name not in names:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now called {names[name]}; the old name will be removed in the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(sys.modules[module], names[name])

    return old_name
