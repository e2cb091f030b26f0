"""What a service names: keys with a type, and sections of keys.

A name is dotted, `billing.limit`: one or more segments of letters, digits, `_` and `-`, each starting with a
letter or a digit. Only `_etcd.layout` knows how names become etcd keys.

Every `Key` made in this process is registered under its name, so that a `Section` can decode what it finds. If a name
is declared twice, the later declaration counts.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar, overload

from runtime_config.codecs import Codec, codec_for

T = TypeVar("T")

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_declared: dict[str, Key[Any]] = {}


class Unset:
    """The type of `UNSET`, which says that a key has no default."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


def check_name(name: object) -> str:
    """Return `name` if it is a valid dotted name.

    Raises TypeError if it is not a string, ValueError if it is not a dotted name.

    >>> check_name("billing.limit")
    'billing.limit'
    >>> check_name("billing..limit")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ... is not a valid name: ... like 'billing.limit'
    """
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str like 'billing.limit', not {name!r}")
    if not all(_SEGMENT.match(segment) for segment in name.split(".")):
        raise ValueError(
            f"{name!r} is not a valid name: it must be dot-separated segments of letters, digits, '_' and '-', "
            "each starting with a letter or digit, like 'billing.limit'"
        )
    return name


class Key(Generic[T]):
    """One typed setting. Immutable; equal to every key of the same name, and to that name.

    `type` is `str`, `int`, `float`, `bool`, `bytes`, `dict` or `list` (both JSON), an `enum.Enum` class, a dataclass,
    or a `Codec` of your own. `default` is what `get` returns while the store holds nothing for it.

    Raises ValueError for a bad name, TypeError for a type that has no codec and for a default that the codec refuses.

    >>> Key("billing.limit", int, default=100)
    Key('billing.limit', int, default=100)
    >>> Key("billing.limit", int) == "billing.limit"
    True
    """

    __slots__ = ("codec", "default", "name")

    name: str
    codec: Codec[T]
    default: T | Unset

    @overload
    def __init__(self, name: str, type: type[T], default: T | Unset = ...) -> None: ...
    @overload
    def __init__(self, name: str, type: Codec[T], default: T | Unset = ...) -> None: ...
    def __init__(self, name: str, type: Any, default: T | Unset = UNSET) -> None:  # noqa: A002
        set_once = object.__setattr__
        set_once(self, "name", check_name(name))
        set_once(self, "codec", codec_for(type))
        set_once(self, "default", default)
        if not isinstance(default, Unset):
            try:
                self.codec.encode(default)
            except Exception as error:
                raise TypeError(f"{default!r} cannot be the default of {name!r}: {error}") from error
        _declared[name] = self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Key cannot be changed: {name} = {value!r}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Key):
            return self.name == other.name
        return self.name == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        default = "" if isinstance(self.default, Unset) else f", default={self.default!r}"
        return f"Key({self.name!r}, {self.codec!r}{default})"


class Section:
    """All keys below a name: `Section("billing")` is `billing.limit`, `billing.retry.count`, but not
    `billing2.limit`.

    Keys declared as `Key` in this process are decoded by their codec; all others are returned as `bytes`.

    >>> "billing.limit" in Section("billing"), "billing2.limit" in Section("billing")
    (True, False)
    """

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", check_name(name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Section cannot be changed: {name} = {value!r}")

    def __contains__(self, key: Key[Any] | str) -> bool:
        name = key.name if isinstance(key, Key) else key
        return name.startswith(self.name + ".")

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Section) else NotImplemented

    def __hash__(self) -> int:
        return hash(("section", self.name))

    def __repr__(self) -> str:
        return f"Section({self.name!r})"


def key_named(name: str) -> Key[Any]:
    """The key declared under this name in this process, or one that returns bytes as they are."""
    found = _declared.get(name)
    if found is None:
        found = Key.__new__(Key)
        object.__setattr__(found, "name", name)
        object.__setattr__(found, "codec", codec_for(bytes))
        object.__setattr__(found, "default", UNSET)
    return found


def check_key(key: object) -> Key[Any]:
    """Return `key` if it is a Key; raise TypeError that says what to write instead."""
    if not isinstance(key, Key):
        raise TypeError(f"a Key is needed here, like Key('billing.limit', int), not {key!r}")
    return key
