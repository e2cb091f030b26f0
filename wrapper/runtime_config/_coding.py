"""Encodes and decodes values with the codec of their key; errors name the key.

A codec is a user's code and may raise anything. In the main thread an exception that is no `Exception` propagates
(KeyboardInterrupt, or what a signal handler raised: swallowing it would undo a Ctrl-C or a time limit). In every
other thread, where no signal arrives, it counts as any other failure of the codec.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

from runtime_config import errors
from runtime_config._numbers import shown
from runtime_config.keys import Key

T = TypeVar("T")


def decode(key: Key[T], raw: bytes) -> T:
    """Raises DecodeError with the codec's own exception as its cause."""
    try:
        return key.codec.decode(raw)
    except BaseException as error:
        if _propagates(error):
            raise
        raise errors.DecodeError(
            f"what is stored for {key.name!r} is no {shown(key.codec)}: {_text(error)}", raw=raw
        ) from error


def encode(key: Key[T], value: Any) -> bytes:
    """Raises EncodeError with the codec's own exception as its cause."""
    try:
        raw = key.codec.encode(value)
    except BaseException as error:
        if _propagates(error):
            raise
        raise errors.EncodeError(
            f"{shown(value)} cannot be stored for {key.name!r} as {shown(key.codec)}: {_text(error)}"
        ) from error
    if not isinstance(raw, bytes):
        raise errors.EncodeError(
            f"the codec {shown(key.codec)} of {key.name!r} must encode to bytes, not {shown(raw)}"
        )
    return raw


def _propagates(error: BaseException) -> bool:
    return not isinstance(error, Exception) and threading.get_ident() == threading.main_thread().ident


def _text(error: BaseException) -> str:
    """What the exception says, or its name if it says nothing or cannot."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__
