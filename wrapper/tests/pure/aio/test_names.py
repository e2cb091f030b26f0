"""`AsyncConfigStore` has the names of `ConfigStore`: what blocks there is awaited here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import runtime_config.aio
from runtime_config import ConfigStore, Live, Subscription, Transaction
from runtime_config.aio import AsyncConfigStore, AsyncLive, AsyncSubscription, AsyncTransaction

PAIRS = [
    (ConfigStore, AsyncConfigStore),
    (Live, AsyncLive),
    (Subscription, AsyncSubscription),
    (Transaction, AsyncTransaction),
]
# They neither block nor send anything, so there is nothing to await.
PLAIN = {"subscribe", "transaction", "require", "close of a subscription"}
# What the feed uses of a subscription and of a live value.
FEEDS_SIDE = {"batch", "reset", "join", "listed_at", "fail", "missing", "select", "poll", "shut"}


def public(kind: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and name not in FEEDS_SIDE
    }


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_name_is_there_and_documented(blocking: type, awaited: type) -> None:
    assert set(public(blocking)) <= set(public(awaited))
    for name, member in public(awaited).items():
        assert inspect.getdoc(member), name


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_method_takes_the_same(blocking: type, awaited: type) -> None:
    for name, member in public(blocking).items():
        if not callable(member):
            continue
        theirs, ours = inspect.signature(member), inspect.signature(getattr(awaited, name))
        assert [(one.name, one.kind, one.default) for one in ours.parameters.values()] == [
            (one.name, one.kind, one.default) for one in theirs.parameters.values()
        ], name


def test_the_options_are_the_same() -> None:
    assert str(inspect.signature(AsyncConfigStore)) == str(inspect.signature(ConfigStore))


def test_what_blocks_in_the_one_is_a_coroutine_in_the_other() -> None:
    for name, member in public(ConfigStore).items():
        ours = inspect.getattr_static(AsyncConfigStore, name)
        if isinstance(inspect.getattr_static(ConfigStore, name), property):
            assert isinstance(ours, property), name
        elif callable(member) and name not in PLAIN:
            assert inspect.iscoroutinefunction(ours), name


def test_all_that_is_public_is_listed() -> None:
    assert runtime_config.aio.__all__ == [
        "AsyncConfigStore",
        "AsyncHandle",
        "AsyncLive",
        "AsyncSubscription",
        "AsyncTransaction",
    ]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (([],), {}),
        (("no port",), {}),
        (("127.0.0.1:1",), {"timeout": -1}),
        (("127.0.0.1:1",), {"timeout": float("nan")}),
        (("127.0.0.1:1",), {"dead_after": 0.1}),
        (("127.0.0.1:1",), {"patience": True}),
        (("127.0.0.1:1",), {"username": "only"}),
        (("127.0.0.1:1",), {"tls": 5}),
        (("127.0.0.1:1", "no slash"), {}),
    ],
)
def test_bad_arguments_are_refused_in_the_same_words(arguments: Any, options: Any) -> None:
    def refusal(make: Callable[..., Any]) -> tuple[type[Exception], str]:
        with pytest.raises((TypeError, ValueError)) as raised:
            make(*arguments, **options)
        return raised.type, str(raised.value)

    assert refusal(AsyncConfigStore) == refusal(ConfigStore)
