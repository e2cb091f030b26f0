"""Every number that a caller can give has bounds, and leaving them is one sentence that names it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_config import ABSENT, ConfigStore, Key, OutcomeUnknown, Section, Versioned
from runtime_config._numbers import LAST_REVISION, LONGEST

LIMIT = Key("numbers.limit", int, default=1)
# Nothing listens there, and nothing has to: a bad number is refused before anything is sent.
NOWHERE = "127.0.0.1:1"

# Too long to print; made when it is drawn, for an old Hypothesis prints what it samples from.
huge = st.integers(5000, 5001).map(lambda digits: 10**digits)
beyond = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -1, -0.001, 1e12, 1e300, 10**400, -(10**400)]),
    huge,
    st.floats(max_value=0, exclude_max=True),
    st.floats(min_value=LONGEST, exclude_min=True),
    st.integers(max_value=-1),
    st.integers(min_value=int(LONGEST) + 1),
)
no_number = st.sampled_from([True, False, "5", b"5", [5], 5j, object()])
seconds = beyond | no_number
revisions = st.one_of(
    no_number,
    st.floats(),
    st.integers(max_value=-1),
    st.integers(min_value=LAST_REVISION + 1),
    huge,
)


@pytest.fixture(scope="module")
def away() -> Iterator[ConfigStore]:
    with pytest.MonkeyPatch.context() as patch:
        # Its backoff draws random numbers, which an old Hypothesis takes for its own.
        patch.setattr("runtime_config._feed.feed.Feed.start", lambda _: None)
        with ConfigStore(NOWHERE, wait=False) as store:
            yield store


def one_sentence(call: Callable[[Any], Any], name: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        call(value)
    text = str(caught.value)
    assert text.startswith(f"{name} must be "), text
    assert len(text) < 250
    assert "\n" not in text


CALLS: dict[str, Callable[[ConfigStore, Any], Any]] = {
    "get": lambda store, timeout: store.get(LIMIT, timeout=timeout),
    "get_all": lambda store, timeout: store.get_all(Section("numbers"), timeout=timeout),
    "set": lambda store, timeout: store.set(LIMIT, 1, timeout=timeout),
    "compare_and_set": lambda store, timeout: store.compare_and_set(LIMIT, ABSENT, 1, timeout=timeout),
    "delete": lambda store, timeout: store.delete(LIMIT, timeout=timeout),
    "update": lambda store, timeout: store.update(LIMIT, lambda old: old, timeout=timeout),
    "transaction": lambda store, timeout: store.transaction(timeout=timeout),
    "settle": lambda store, timeout: store.settle(OutcomeUnknown("?", write_id="0" * 32), timeout=timeout),
    "subscribe": lambda store, timeout: store.subscribe(LIMIT, timeout=timeout),
    "on_change": lambda store, timeout: store.on_change(LIMIT, print, timeout=timeout),
    "live": lambda store, timeout: store.live(LIMIT, timeout=timeout),
    "wait_synced": lambda store, timeout: store.wait_synced(timeout),
    "wait_revision": lambda store, timeout: store.wait_revision(1, timeout),
    "health": lambda store, timeout: store.health(timeout),
}


@pytest.mark.parametrize("name", sorted(CALLS))
@settings(max_examples=60, deadline=None)
@given(value=seconds | st.just(0))
def test_the_timeout_of_a_call(away: ConfigStore, name: str, value: object) -> None:
    one_sentence(lambda timeout: CALLS[name](away, timeout), "timeout", value)


@settings(max_examples=60, deadline=None)
@given(value=seconds)
def test_the_timeout_of_an_item(away: ConfigStore, value: object) -> None:
    updates = away.subscribe(LIMIT, timeout=0.001)
    one_sentence(updates.get, "timeout", value)


@pytest.mark.parametrize("name", ["timeout", "patience", "dead_after"])
@settings(max_examples=60, deadline=None)
@given(value=seconds)
def test_the_seconds_of_a_store(name: str, value: object) -> None:
    one_sentence(lambda given: ConfigStore(NOWHERE, wait=False, **{name: given}), name, value)


@pytest.mark.parametrize(("name", "least"), [("timeout", 0.001), ("patience", 0.0), ("dead_after", 0.2)])
def test_the_bounds_themselves_are_valid(name: str, least: float) -> None:
    for value in (least, LONGEST, int(LONGEST)):
        options: dict[str, Any] = {name: value}
        ConfigStore(NOWHERE, wait=False, **options).close()
    if least:
        with pytest.raises(ValueError, match=f"{name} must be from {least:g} to 604800 seconds, not"):
            ConfigStore(NOWHERE, wait=False, **{name: least / 2})  # type: ignore[arg-type]


def test_a_refused_timeout_leaves_nothing_behind(away: ConfigStore) -> None:
    key = Key("numbers.left", int, default=1)
    with pytest.raises(ValueError, match="timeout must be"):
        away.live(key, timeout=math.nan)
    assert key.name not in away._following._lives


@settings(max_examples=100, deadline=None)
@given(value=revisions)
def test_revisions(away: ConfigStore, value: Any) -> None:
    one_sentence(lambda given: away.wait_revision(given, 0.01), "revision", value)
    one_sentence(
        lambda given: away.compare_and_set(LIMIT, Versioned(1, given), 2), "expected.revision", value
    )
    with away.transaction() as txn:
        one_sentence(lambda given: txn.require(LIMIT, Versioned(1, given)), "expected.revision", value)
    one_sentence(
        lambda given: away.settle(OutcomeUnknown("?", write_id="0" * 32, floor=given)), "floor", value
    )


@pytest.mark.parametrize("write_id", ["", "x" * 32, "0" * 31, None, 7])
def test_only_the_outcome_of_a_write_can_be_settled(away: ConfigStore, write_id: Any) -> None:
    with pytest.raises(ValueError, match="this has no write id"):
        away.settle(OutcomeUnknown("?", write_id=write_id))


@given(port=st.sampled_from(["0", "65536", "-1", "9" * 5000, "²", "1.5", "1e3", "nan", ""]))
def test_ports(port: str) -> None:
    with pytest.raises(ValueError, match="must be 'host:port'"):
        ConfigStore(f"127.0.0.1:{port}", wait=False)
