"""A short form of ``tests/support/same_verdicts.py``: a client in Go and its twin in Python get the same verdicts."""

from __future__ import annotations

from typing import Any

import pytest
from support import same_verdicts

# Six of the right logic and, because what is lost is waited for, four of the naive one.
SCHEDULES = (0, 2, 4, 6, 8, 10, 1, 3, 5, 7)


@pytest.mark.slow
def test_a_client_and_its_twin_in_another_language_get_the_same_verdicts(etcd_server: Any) -> None:
    pytest.importorskip("runtime_config", reason="the twin in Python uses it to import etcd3")
    ways = ("go", "in process")
    try:
        for way in ways:
            same_verdicts.opener(way, naive=False)
    except same_verdicts.CannotPlay as reason:
        pytest.skip(f"the program go-etcd cannot be built: {reason}")
    outcomes = [same_verdicts.outcome(1, number, ways, etcd_server) for number in SCHEDULES]
    assert [one for one in outcomes if not one.same] == []
    assert {one.verdicts for one in outcomes if not one.naive} == {("kept", "kept")}
    assert ("lost", "lost") in {one.verdicts for one in outcomes if one.naive}
