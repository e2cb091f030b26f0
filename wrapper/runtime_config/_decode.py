"""Between values and bytes by way of a key's codec, with errors that name the key."""

from __future__ import annotations

from typing import Any, TypeVar

from runtime_config import errors
from runtime_config.keys import Key

T = TypeVar("T")


def decode(key: Key[T], raw: bytes) -> T:
    """Raises DecodeError with the codec's own exception as its cause."""
    try:
        return key.codec.decode(raw)
    except Exception as error:
        raise errors.DecodeError(
            f"what is stored for {key.name!r} is no {key.codec!r}: {error}", raw=raw
        ) from error


def encode(key: Key[T], value: Any) -> bytes:
    """Raises EncodeError with the codec's own exception as its cause."""
    try:
        raw = key.codec.encode(value)
    except Exception as error:
        raise errors.EncodeError(
            f"{value!r} cannot be stored for {key.name!r} as {key.codec!r}: {error}"
        ) from error
    if not isinstance(raw, bytes):
        raise errors.EncodeError(f"the codec {key.codec!r} of {key.name!r} must encode to bytes, not {raw!r}")
    return raw
