"""What a play has raised: what the suite allows, what stands for something else, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_netfault.storm.errors import Allowed, error_class, error_of
from pytest_netfault.storm.play import Error

HERE = Path(__file__)


def caught(raises: Callable[[], object], allowed: Allowed = ()) -> Error:
    try:
        raises()
    except BaseException as error:
        return error_of(error, HERE, allowed, "call")
    raise AssertionError("nothing was raised")


def reset() -> NoReturn:
    raise ConnectionResetError("reset by peer\nand more")


def fails_because_of_it() -> None:
    try:
        reset()
    except ConnectionError:
        pytest.fail("not reachable")


def wrong() -> None:
    assert [1] == [2]


def test_an_error_is_allowed_by_its_class_or_one_above_it() -> None:
    for allowed in ((ConnectionResetError,), (OSError,), (ValueError, ConnectionError)):
        assert caught(reset, allowed).allowed
    error = caught(reset, (TimeoutError,))
    assert not error.allowed
    assert (error.type, error.message, error.asserts) == ("ConnectionResetError", "reset by peer", False)
    assert error.where.endswith("test_errors.reset")


def test_an_assertion_that_comes_of_an_allowed_error_is_allowed() -> None:
    assert caught(fails_because_of_it, (OSError,)).allowed
    assert not caught(fails_because_of_it, (TimeoutError,)).allowed
    assert not caught(wrong, (OSError,)).allowed
    assert caught(wrong).asserts


def test_of_a_group_the_first_that_is_not_allowed_counts() -> None:
    class Group(Exception):
        exceptions = (ConnectionResetError("one"), Exception("two"))

    def raises() -> None:
        raise Group

    assert caught(raises, (OSError,)).message == "two"
    assert caught(raises, (Exception,)).allowed


def test_a_warning_about_an_error_elsewhere_stands_for_that_error() -> None:
    def raises() -> None:
        raise pytest.PytestUnraisableExceptionWarning("ignored") from ConnectionResetError("there")

    assert caught(raises).type == "ConnectionResetError"
    assert caught(raises, (OSError,)).allowed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no.Such", "cannot be imported"),
        ("NoSuch", "cannot be imported"),
        ("json.loads", "no exception class"),
    ],
)
def test_a_name_that_is_no_exception_class_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        error_class(text)
