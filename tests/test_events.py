"""An event as a line for a report."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.events import CONNECTION_STATES, ConnectionState, EventKind, LinkEvent, describe

events = st.builds(
    LinkEvent,
    time=st.floats(0, 1e6),
    link=st.sampled_from(["link1", "etcd"]),
    kind=st.sampled_from(get_args(EventKind)),
    connection=st.none() | st.integers(1, 10**6),
    by=st.sampled_from([None, "client", "upstream", "netfault"]),
    bytes_up=st.integers(0, 2**63),
    bytes_down=st.integers(0, 2**63),
    detail=st.sampled_from(["", "Sever()", "127.0.0.1:80"]),
)


@given(events, st.floats(0, 1e6))
def test_a_line_says_what_the_event_knows_and_no_more(event: LinkEvent, since: float) -> None:
    line = describe(event, since=since)
    assert "\n" not in line
    assert event.link in line
    assert event.kind in line
    assert (f"#{event.connection} " in line) == (event.connection is not None)
    assert (f"up {event.bytes_up} B, down {event.bytes_down} B" in line) == (event.connection is not None)
    assert line.endswith(event.detail)
    assert ("by client" in line) == (event.by == "client")
    assert "netfault" not in line


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LinkEvent(1.0, "link1", "fin").time = 2.0  # type: ignore[misc]


def test_the_states_of_a_connection_are_listed_in_their_order() -> None:
    assert get_args(ConnectionState) == CONNECTION_STATES
