r"""JSON as Go's ``encoding/json`` reads and writes it, because that is what the clients of Toxiproxy speak.

Reading: keys match in any case, unknown ones are ignored, the last of several counts, and so does only the first value
of a body; ``null`` leaves a default. Writing: compact, ``<``, ``>`` and ``&`` escaped, numbers in their shortest form.

>>> Fields(decoded(b'{"NAME": "a", "enabled": null} and more')).text("name", "")
'a'
>>> encoded({"name": "<a>", "toxicity": 1.0})
b'{"name":"\\u003ca\\u003e","toxicity":1}'
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from pytest_netfault.serve.errors import BAD_BODY, ApiError

__all__ = ["Fields", "decoded", "encoded", "float32"]

_BLANK = " \t\r\n"
# What a message quotes of a value.
_LONGEST_SHOWN = 60
_LARGEST_FLOAT32 = 3.4028235677973366e38  # from half a step above the largest on there is none
_INT64 = range(-(2**63), 2**63)


class _Number(str):
    """A number as it was written: whether ``1.0`` is a whole number depends on who asks."""

    __slots__ = ()


def _no_constant(text: str) -> Any:
    raise ValueError(f"invalid character {text[0]!r} looking for beginning of value")


_decoder = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_no_constant)


def decoded(body: bytes) -> Any:
    """The first value of a body. Numbers stay as they were written; :class:`Fields` reads them.

    Raises:
        ApiError: 400, it is none.
    """
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(_BLANK))
    if start == len(text):
        raise BAD_BODY.because("EOF")
    try:
        value, _ = _decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip(_BLANK)
        ended = not rest or error.msg.startswith("Unterminated string") or _cut_off(rest)
        reason = "unexpected EOF" if ended else f"invalid character {rest[0]!r}: {error.msg}"
        raise BAD_BODY.because(reason) from error
    except RecursionError as error:
        raise BAD_BODY.because("exceeded max depth") from error
    except ValueError as error:
        raise BAD_BODY.because(str(error)) from error
    return value


def _cut_off(rest: str) -> bool:
    """Whether this is the beginning of something that the end of the body has cut off."""
    return any(word.startswith(rest) for word in ("true", "false", "null")) or rest == "-"


def _told(value: object) -> str:
    """What a value is, in the words of Go."""
    if isinstance(value, _Number):
        return f"number {value[:_LONGEST_SHOWN]}"
    names = {str: "string", bool: "bool", list: "array", dict: "object"}
    return names.get(type(value), "null")


class Fields:
    """The fields of a JSON object.

    Args:
        value: what was decoded; ``null`` is an object without fields.
        what: its name, for messages.

    Raises:
        ApiError: 400, it is no object.
    """

    def __init__(self, value: Any, what: str = "") -> None:
        self._what = what
        if value is None:
            value = {}
        if type(value) is not dict:
            raise BAD_BODY.because(f"json: cannot unmarshal {_told(value)} into {what or 'an object'}")
        self._values: dict[str, Any] = {}
        for key, one in value.items():  # in order, so that the last one counts
            if one is not None:
                self._values[_folded(key)] = one

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def value(self, name: str) -> Any:
        """What was given under this name; None if nothing was."""
        return self._values.get(name)

    def text(self, name: str, default: str) -> str:
        """A string."""
        value = self._values.get(name, default)
        if type(value) is not str:
            raise self._wrong(name, value, "string")
        return _well_formed(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if type(value) is not bool:
            raise self._wrong(name, value, "bool")
        return value

    def whole(self, name: str, default: int) -> int:
        """A whole number of 64 bits, written as one: ``1.0`` and ``1e2`` are none."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, _Number) and len(value) <= 20:  # so many digits 64 bits have, and a sign
            try:
                number = int(value)
            except ValueError:
                number = 2**63
            if number in _INT64:
                return number
        raise self._wrong(name, value, "int64")

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, _Number):
            number = float(value)
            if math.isfinite(number):
                return number
        raise self._wrong(name, value, "float64")

    def single(self, name: str, default: float) -> float:
        """A number, rounded to 32 bits."""
        number = self.number(name, default)
        if abs(number) >= _LARGEST_FLOAT32:
            raise self._wrong(name, self._values[name], "float32")
        return float32(number)

    def array(self, name: str) -> list[Any]:
        """A list; an empty one if nothing was given."""
        value = self._values.get(name, [])
        if type(value) is not list:
            raise self._wrong(name, value, "array")
        return value

    def _wrong(self, name: str, value: Any, wanted: str) -> ApiError:
        field = f"{self._what}.{name}" if self._what else name
        return BAD_BODY.because(f"json: cannot unmarshal {_told(value)} into {field} of type {wanted}")


def _folded(key: str) -> str:
    # Go compares with simple case folding, for which the Kelvin sign is a k and the long s an s.
    return key.lower().replace("\u017f", "s") if not key.isascii() else key.lower()


def _well_formed(text: str) -> str:
    """A text in which half a surrogate pair is the replacement character, as Go reads it."""
    if any("\ud800" <= one <= "\udfff" for one in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def float32(number: float) -> float:
    """The number that has the same 32 bits, with as few digits as possible.

    >>> float32(0.2), float32(0.1 + 0.2)
    (0.2, 0.3)
    """
    packed = struct.pack("f", number)
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        if struct.pack("f", short) == packed:
            return short
    return number


_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def encoded(value: object) -> bytes:
    """A value as JSON: dictionaries in their order, no blanks, numbers as short as possible."""
    return _text(value).encode("utf-8", "replace")


def _text(value: object) -> str:
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(str(key))}:{_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no JSON")


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    if -7 < int(exponent) < 0:  # Go writes a millionth without an exponent
        return f"{value:.{-int(exponent) + len(mantissa.replace('.', '').lstrip('-')) - 1}f}"
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"
