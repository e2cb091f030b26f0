"""What a test logs, kept for its timeline."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_netfault.plugin.logs import LogKeeper

LOGGER = logging.getLogger("shop.client")


@pytest.fixture
def keeper() -> Iterator[LogKeeper]:
    kept = LogKeeper(Path(__file__).parent)
    kept.begin()
    yield kept
    kept.end()


def test_records_are_kept_with_their_source(keeper: LogKeeper) -> None:
    LOGGER.warning("no answer from %s", "shop")
    (line,) = keeper.lines
    assert (line.level_name, line.logger, line.message) == ("WARNING", "shop.client", "no answer from shop")
    assert line.source.startswith("test_logs.py:")


def test_our_own_records_are_not(keeper: LogKeeper) -> None:
    logging.getLogger("pytest_netfault.proxy").warning("a connection was accepted")
    assert keeper.lines == ()


def test_each_test_begins_with_none_and_nothing_is_kept_after_its_end(keeper: LogKeeper) -> None:
    LOGGER.warning("of one test")
    keeper.begin()
    assert keeper.lines == ()
    keeper.end()
    LOGGER.warning("between tests")
    assert keeper.lines == ()
    assert keeper not in logging.getLogger().handlers


def test_of_many_the_newest_are_kept(keeper: LogKeeper) -> None:
    for number in range(1_000):
        LOGGER.warning("%d", number)
    assert [line.message for line in keeper.lines[-2:]] == ["998", "999"]
    assert len(keeper.lines) < 1_000


def test_a_record_whose_arguments_do_not_fit_is_kept_as_it_is(keeper: LogKeeper) -> None:
    keeper.handle(logging.LogRecord("shop", logging.ERROR, __file__, 3, "%d apples", ("no",), None))
    assert [line.message for line in keeper.lines] == ["%d apples"]
