"""Values of a JSON document as things that can be compared and hashed.

>>> freeze(True) == freeze(1), freeze(1) == freeze(1.0), freeze([1, 2]) == freeze([1, 2])
(False, True, True)
"""

from __future__ import annotations

import json
from collections.abc import Hashable

__all__ = ["as_text", "freeze"]


def freeze(value: object) -> Hashable:
    """A hashable stand-in that is equal exactly where the JSON values are.

    Strings, numbers and null stand for themselves. Python takes true for 1, and JSON does not, so that
    booleans, lists and objects are replaced by their text.
    """
    if value is None or type(value) is str or type(value) is int or type(value) is float:
        return value
    return ("json", json.dumps(value, sort_keys=True))


def as_text(value: Hashable) -> str:
    """A frozen value as JSON.

    >>> as_text(freeze(True)), as_text(freeze("a"))
    ('true', '"a"')
    """
    return str(value[1]) if isinstance(value, tuple) else json.dumps(value, ensure_ascii=False)
