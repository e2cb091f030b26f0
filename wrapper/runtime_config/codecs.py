"""How values become bytes and back.

Invariants: values are stored as a person would type them (`etcdctl get` shows `100`, `true`, `{"a":1}`), decoding is
strict (a value of another type is an error, never a guess), and `decode(encode(value)) == value` for every value that
`encode` accepts.
"""

from __future__ import annotations

import dataclasses
import enum
import json as _json
import math
import re
import types
import typing
from typing import Any, Protocol, TypeVar, Union, runtime_checkable

T = TypeVar("T")

# Python's own limit for reading and printing is 4,300 digits by default; what is encoded here can be decoded anywhere.
MAX_DIGITS = 4000
_TOO_LARGE = 10**MAX_DIGITS
# Some releases of Python encode deeper JSON and others do not decode it.
MAX_DEPTH = 200
_INT = re.compile(rb"[+-]?[0-9]{1,%d}\Z" % MAX_DIGITS)
_FLOAT = re.compile(rb"[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|inf|nan)\Z")


@runtime_checkable
class Codec(Protocol[T]):
    """Converts values of one type to bytes and back. Write a class with these two methods for a type of your own.

    Either method may raise anything: the caller gets an `EncodeError` or a `DecodeError` with it as the cause. In the
    main thread, which receives signals, an exception that is no `Exception` (such as KeyboardInterrupt) propagates.
    Both are called in the thread of the caller (a subscription decodes in the thread that iterates it).
    """

    def encode(self, value: T, /) -> bytes: ...
    def decode(self, raw: bytes, /) -> T: ...


class _Named:
    name = ""

    def __repr__(self) -> str:
        return self.name


class _Str(_Named):
    name = "str"

    def encode(self, value: str, /) -> bytes:
        # Not `value.encode()`: a member of a str Enum may override it.
        return str.encode(_expect(value, str), "utf-8")

    def decode(self, raw: bytes, /) -> str:
        return raw.decode("utf-8")


class _Bytes(_Named):
    name = "bytes"

    def encode(self, value: bytes, /) -> bytes:
        return bytes(_expect(value, bytes))

    def decode(self, raw: bytes, /) -> bytes:
        return raw


class _Int(_Named):
    name = "int"

    def encode(self, value: int, /) -> bytes:
        if isinstance(value, bool):
            raise TypeError(f"{value!r} is a bool, not an int")
        return str(_check_size(int(_expect(value, int)))).encode("ascii")

    def decode(self, raw: bytes, /) -> int:
        text = raw.strip()
        if not _INT.match(text):
            raise ValueError(f"{_shown(raw)} is not a whole number")
        return int(text)


class _Float(_Named):
    name = "float"

    def encode(self, value: float, /) -> bytes:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{value!r} is not a float")
        number = float(value)
        if number != value and not math.isnan(number):
            raise ValueError(f"{value!r} is no float: the nearest is {number!r}")
        return repr(number).encode("ascii")

    def decode(self, raw: bytes, /) -> float:
        text = raw.strip()
        if not _FLOAT.match(text):
            raise ValueError(f"{_shown(raw)} is not a number")
        return float(text)


class _Bool(_Named):
    name = "bool"

    def encode(self, value: bool, /) -> bytes:
        return b"true" if _expect(value, bool) else b"false"

    def decode(self, raw: bytes, /) -> bool:
        text = raw.strip().lower()
        if text not in (b"true", b"false"):
            raise ValueError(f"{_shown(raw)} is neither true nor false")
        return text == b"true"


class _Json(_Named):
    """JSON of any shape; with `kind`, only that Python type at the top."""

    def __init__(self, kind: type | None = None) -> None:
        self.kind = kind
        self.name = "json" if kind is None else kind.__name__

    def encode(self, value: Any, /) -> bytes:
        if self.kind is not None:
            _expect(value, self.kind)
        _check_json(value)
        return _dump(value)

    def decode(self, raw: bytes, /) -> Any:
        value = _load(raw)
        if self.kind is not None and not isinstance(value, self.kind):
            raise ValueError(f"{_shown(raw)} is no JSON {self.name}")
        return value


class _Enum(_Named):
    """An enum member is stored by its name, which code refers to; its value may change with a release."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        self.kind = kind
        self.name = kind.__name__

    def encode(self, value: enum.Enum, /) -> bytes:
        name = _expect(value, self.kind).name
        if not isinstance(name, str) or name != name.strip() or self.kind.__members__.get(name) is not value:
            raise ValueError(f"{value!r} has no name of its own")
        return name.encode("utf-8")

    def decode(self, raw: bytes, /) -> enum.Enum:
        name = raw.decode("utf-8").strip()
        try:
            return self.kind[name]
        except KeyError:
            raise ValueError(f"{name!r} is not one of {', '.join(self.kind.__members__)}") from None


class _Dataclass(_Named):
    """A dataclass is stored as a JSON object. Fields that this release does not know are ignored, fields that
    the stored object lacks take their default: so two releases of a service can share a value while one
    replaces the other."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = kind.__name__

    def encode(self, value: Any, /) -> bytes:
        shape = _to_json(_expect(value, self.kind))
        _check_json(shape)
        raw = _dump(shape)
        back = self.decode(raw)
        if not _same(value, back):
            raise ValueError(f"it would come back as {back!r}")
        return raw

    def decode(self, raw: bytes, /) -> Any:
        return _from_json(self.kind, _load(raw), self.name)


#: Any JSON value: `Key("billing.tiers", JSON)`.
JSON: Codec[Any] = _Json()

_SIMPLE: dict[object, Codec[Any]] = {
    str: _Str(),
    bytes: _Bytes(),
    int: _Int(),
    float: _Float(),
    bool: _Bool(),
    dict: _Json(dict),
    list: _Json(list),
}


def codec_for(kind: object) -> Codec[Any]:
    """The codec for a type, or the argument itself if it is a codec. Raises TypeError for anything else.

    >>> codec_for(int).encode(5), codec_for(bool).decode(b"true"), codec_for(dict).encode({"b": 1, "a": [None]})
    (b'5', True, b'{"a":[null],"b":1}')
    """
    if isinstance(kind, type):
        if kind in _SIMPLE:
            return _SIMPLE[kind]
        if issubclass(kind, enum.Enum):
            return _Enum(kind)
        if dataclasses.is_dataclass(kind):
            return _Dataclass(kind)
    elif isinstance(kind, Codec):
        return kind
    raise TypeError(
        f"{kind!r} has no codec: use str, int, float, bool, bytes, dict, list, an Enum class, a dataclass, JSON, "
        "or an object with encode(value) -> bytes and decode(raw) -> value"
    )


def _shown(raw: bytes) -> str:
    return repr(raw[:80])[1:] + ("..." if len(raw) > 80 else "")


def _expect(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _dump(value: Any) -> bytes:
    text = _json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _load(raw: bytes) -> Any:
    return _json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _check_size(number: int) -> int:
    if not -_TOO_LARGE < number < _TOO_LARGE:
        raise ValueError(f"a whole number may have at most {MAX_DIGITS} digits")
    return number


def _check_json(value: Any, depth: int = 0) -> None:
    """Refuse what `json.dumps` accepts although it would be decoded as something else, or not at all.

    The key 1 would become "1", and a tuple a list.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"JSON may be nested at most {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"a JSON object needs str keys, not {name!r}")
            _check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth + 1)
    elif isinstance(value, tuple):
        raise TypeError(f"{value!r} would come back as a list: use a list")
    elif isinstance(value, int):
        _check_size(value)


def _same(value: Any, back: Any) -> bool:
    """Whether a field was decoded to an equal value; dataclasses, which may lack equality, are compared by field."""
    if dataclasses.is_dataclass(value):
        return type(value) is type(back) and all(
            _same(getattr(value, field.name), getattr(back, field.name))
            for field in dataclasses.fields(value)
            if field.init
        )
    if isinstance(value, dict):
        return (
            isinstance(back, dict)
            and value.keys() == back.keys()
            and all(_same(item, back[name]) for name, item in value.items())
        )
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple
        return isinstance(back, kind) and len(value) == len(back) and all(map(_same, value, back))
    return bool(value == back)


def _to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _to_json(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init
        }
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value


def _from_json(kind: Any, value: Any, where: str) -> Any:
    """Turn JSON into a value of the annotated type `kind`; `where` is the path for the error message."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if kind is None or kind is type(None):
        return _match(value, value is None, where, "null")
    if origin is Union or origin is types.UnionType:
        return _one_of(arguments, value, where)
    if origin is typing.Literal:
        return _match(value, value in arguments, where, f"one of {arguments}")
    if origin is typing.Annotated:
        return _from_json(arguments[0], value, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass_from(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        _match(
            value, isinstance(value, str) and value in kind.__members__, where, f"a member of {kind.__name__}"
        )
        return kind[value]
    base = origin or kind
    if base in (list, tuple):
        return _sequence_from(base, arguments, value, where)
    if base is dict:
        _match(value, isinstance(value, dict), where, "an object")
        inner = arguments[1] if len(arguments) == 2 else Any
        return {name: _from_json(inner, item, f"{where}.{name}") for name, item in value.items()}
    if kind is float:
        _match(value, isinstance(value, (int, float)) and not isinstance(value, bool), where, "a number")
        return float(value)
    if kind is int:
        return _match(value, isinstance(value, int) and not isinstance(value, bool), where, "a whole number")
    if kind in (str, bool):
        return _match(value, isinstance(value, kind), where, f"a {kind.__name__}")
    raise TypeError(f"{where}: a field of type {kind!r} cannot be read from JSON")


def _match(value: Any, good: bool, where: str, wanted: str) -> Any:
    if not good:
        raise ValueError(f"{where} should be {wanted}, not {value!r}")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    for kind in kinds:
        try:
            return _from_json(kind, value, where)
        except ValueError:  # noqa: PERF203 - the types of a union are tried in turn
            continue
    raise ValueError(f"{where}: {value!r} fits none of {', '.join(str(kind) for kind in kinds)}")


def _sequence_from(base: Any, kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    _match(value, isinstance(value, list), where, "a list")
    if base is tuple and kinds and kinds[-1] is not Ellipsis:
        _match(value, len(value) == len(kinds), where, f"a list of {len(kinds)}")
        pairs = zip(kinds, value, strict=True)
    else:
        inner = kinds[0] if kinds else Any
        pairs = zip([inner] * len(value), value, strict=True)
    return base(_from_json(kind, item, f"{where}[{at}]") for at, (kind, item) in enumerate(pairs))


def _dataclass_from(kind: Any, value: Any, where: str) -> Any:
    _match(value, isinstance(value, dict), where, "an object")
    hints = typing.get_type_hints(kind, include_extras=True)
    known = {
        field.name: _from_json(hints[field.name], value[field.name], f"{where}.{field.name}")
        for field in dataclasses.fields(kind)
        if field.init and field.name in value
    }
    try:
        return kind(**known)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error
