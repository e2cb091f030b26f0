"""What a play has raised, as data: whether the suite allows it, and where it comes from."""

from __future__ import annotations

import importlib
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pytest_netfault.common.printable import printable
from pytest_netfault.storm.play import Error

__all__ = ["Allowed", "error_class", "error_of", "where_of"]

Allowed = tuple[type[BaseException], ...]
_MESSAGE = 200
_LIBRARY = sysconfig.get_paths()["stdlib"]
# What runs a test is not what the test is about.
_RUNNERS = (
    "_pytest.", "pluggy.", "pytest_netfault.", "pytest_asyncio.", "pytest_trio.", "anyio.pytest_plugin", "xdist.",
)  # fmt: skip
# Warnings of pytest about what was raised elsewhere: where warnings are errors they stand for their cause.
_ELSEWHERE = ("PytestUnraisableExceptionWarning", "PytestUnhandledThreadExceptionWarning")


def error_class(text: str) -> type[BaseException]:
    """The class of errors that has this name.

    Raises:
        ValueError: there is none; one sentence says why.

    >>> error_class("TimeoutError"), error_class("json.JSONDecodeError")
    (<class 'TimeoutError'>, <class 'json.decoder.JSONDecodeError'>)
    """
    module, _dot, name = text.rpartition(".")
    try:
        found = getattr(importlib.import_module(module or "builtins"), name)
    except (ImportError, AttributeError, ValueError):
        raise ValueError(
            f"{text!r} cannot be imported: give an exception class as module.Name, or a built-in one"
        ) from None
    if not isinstance(found, type) or not issubclass(found, BaseException):
        raise ValueError(f"{text!r} is no exception class")
    return found


def error_of(
    raised: BaseException, test: Path, allowed: Allowed, phase: Literal["setup", "call", "teardown"]
) -> Error:
    """What was raised, as data; of a group of exceptions the first that is not allowed.

    An assertion that failed because of an error that is allowed is allowed as well: a test says so by
    ``except ConnectionError: pytest.fail(...)``.
    """
    leaves = list(_leaves(raised))
    chosen = next((leaf for leaf in leaves if not _is_allowed(leaf, allowed)), leaves[0])
    frames = list(reversed(_frames(chosen) or _frames(raised)))
    where, line = where_of(frames, test)
    kind = type(chosen)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    message = printable(str(chosen).strip().partition("\n")[0])[:_MESSAGE]
    return Error(name, message, where, line, _asserts(chosen), _is_allowed(chosen, allowed), phase)


def where_of(frames: Sequence[tuple[str, str, int]], test: Path) -> tuple[str, str]:
    """The innermost function that is neither library nor runner of tests, and the innermost line in the test.

    Args:
        frames: file, function and line of each, the innermost first.
        test: the file of the test.

    >>> where_of([("/lib/c.py", "c.recv", 4), ("/t/test_a.py", "test_a.test_it", 9)], Path("/t/test_a.py"))
    ('c.recv', 'test_a.py:9')
    """
    inner = next(
        (name for file, name, _line in frames if not _of_library(file) and not name.startswith(_RUNNERS)),
        "an unknown function",
    )
    line = next((f"{test.name}:{line}" for file, _name, line in frames if file == str(test)), "")
    return inner, line


def _leaves(error: BaseException) -> Iterable[BaseException]:
    inner = getattr(error, "exceptions", None)
    if isinstance(inner, tuple) and inner and all(isinstance(one, BaseException) for one in inner):
        for one in inner:
            yield from _leaves(one)
    elif type(error).__name__ in _ELSEWHERE and error.__cause__ is not None:
        yield from _leaves(error.__cause__)
    else:
        yield error


def _asserts(error: BaseException) -> bool:
    # pytest.fail() raises a class of pytest's own, which this room does not know.
    return isinstance(error, AssertionError) or (
        type(error).__name__ == "Failed" and type(error).__module__ in ("builtins", "_pytest.outcomes")
    )


def _is_allowed(error: BaseException, allowed: Allowed) -> bool:
    if isinstance(error, allowed):
        return True
    if isinstance(error, ResourceWarning):
        return True  # an object that nobody closed: what it holds is counted as a leak, once it is there to be counted
    if not _asserts(error):
        return False
    seen: set[int] = set()
    before = error.__cause__ or error.__context__
    while before is not None and id(before) not in seen:
        if isinstance(before, allowed):
            return True
        seen.add(id(before))
        before = before.__cause__ or before.__context__
    return False


def _frames(error: BaseException) -> list[tuple[str, str, int]]:
    found, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        name = f"{trace.tb_frame.f_globals.get('__name__', '?')}.{code.co_name}"
        found.append((code.co_filename, name, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _of_library(file: str) -> bool:
    return file.startswith(("<", _LIBRARY)) and "site-packages" not in file
