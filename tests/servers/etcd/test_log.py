from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.servers.etcd.log import LogEvent, read_events

_changes = st.one_of(
    st.builds(LogEvent, st.just("put"), st.binary(min_size=1), st.binary()),
    st.builds(LogEvent, st.just("delete"), st.binary(min_size=1), st.none()),
)


def _as_etcd_writes(revision: int, event: LogEvent) -> dict[str, Any]:
    entry = {"key": base64.b64encode(event.key).decode(), "mod_revision": str(revision)}
    if event.type == "delete":
        return {"type": "DELETE", "kv": entry}
    if event.value:  # etcd leaves out what is empty
        entry["value"] = base64.b64encode(event.value).decode()
    return {"kv": entry}


@given(st.lists(st.tuples(st.integers(1, 2**63 - 1), _changes)))
def test_what_etcd_writes_is_read_back(log: list[tuple[int, LogEvent]]) -> None:
    assert read_events([_as_etcd_writes(*entry) for entry in log]) == log


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"kv": {}},
        {"kv": None},
        {"kv": {"key": "azA="}},
        {"kv": {"key": "azA=", "mod_revision": "two"}},
        {"kv": {"key": "a!", "mod_revision": "2"}},
        {"kv": {"key": "azA=", "mod_revision": "2", "value": 7}},
        "event",
    ],
)
def test_anything_else_is_refused_by_what_it_is(event: Any) -> None:
    with pytest.raises(ValueError, match="not an event of etcd's JSON gateway"):
        read_events([event])
