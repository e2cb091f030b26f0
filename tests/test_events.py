"""An event as a line for a report."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.events import CONNECTION_STATES, ConnectionState, EventKind, LinkEvent, describe
from pytest_netfault.faults import FAULTS, Cut, Delay
from pytest_netfault.proxy import CustomFault


@dataclasses.dataclass(frozen=True, repr=False)
class Own(CustomFault):
    """A fault of somebody's own that JSON can hold, but for a tuple."""

    numbers: Any


@dataclasses.dataclass(frozen=True, repr=False)
class Opaque(CustomFault):
    """A fault of somebody's own that JSON cannot hold."""

    thing: object

    def __repr__(self) -> str:
        return "Opaque(<thing>)"


events = st.builds(
    LinkEvent,
    time=st.floats(0, 1e6),
    link=st.sampled_from(["link1", "etcd"]),
    kind=st.sampled_from(get_args(EventKind)),
    connection=st.none() | st.integers(1, 10**6),
    by=st.sampled_from([None, "client", "upstream", "netfault"]),
    bytes_up=st.integers(0, 2**63),
    bytes_down=st.integers(0, 2**63),
    detail=st.sampled_from(["", "it failed"]),
    fault=st.sampled_from([None, Cut(9, how="rst"), Delay(0.5), Own((1, 2)), Opaque(object())]),
    fault_id=st.none() | st.integers(1, 9),
    direction=st.sampled_from([None, "up", "down", "both"]),
    address=st.sampled_from(["", "127.0.0.1:80"]),
    met=st.sampled_from([None, True, False]),
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


@given(events)
def test_an_event_that_went_through_json_shows_the_same(event: LinkEvent) -> None:
    again = LinkEvent.from_json(json.loads(json.dumps(event.to_json())))
    assert describe(again) == describe(event)
    assert dataclasses.replace(again, fault=None) == dataclasses.replace(event, fault=None)
    if type(event.fault) in FAULTS:
        assert again == event


@pytest.mark.parametrize("data", [{}, {"fault": None, "time": 1.0}, {"fault": None, "nonsense": 1}])
def test_what_is_no_event_is_one_sentence(data: Any) -> None:
    with pytest.raises(ValueError, match="this is no event of a link"):
        LinkEvent.from_json(data)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LinkEvent(1.0, "link1", "fin").time = 2.0  # type: ignore[misc]


def test_the_states_of_a_connection_are_listed_in_their_order() -> None:
    assert get_args(ConnectionState) == CONNECTION_STATES
