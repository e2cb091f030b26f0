"""What is a proof and what is none: each reason, and the one field that makes the difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_netfault.proof.tally import Tally

PROOF = Tally(examples=10, faults=10, met=9, faults_that_met_traffic=9, acknowledged=20)


def test_a_proof_is_one() -> None:
    assert PROOF.proved_nothing() is None


@pytest.mark.parametrize(
    ("enough", "too_little", "told"),
    [
        ({"acknowledged": 1}, {"acknowledged": 0}, "no write was acknowledged in 10 examples"),
        (
            {"faults_that_met_traffic": 1},
            {"faults_that_met_traffic": 0},
            "no fault met traffic in 10 examples",
        ),
        ({"met": 1}, {"met": 0}, "no fault met traffic in 10 examples"),
        (
            {"acknowledged": 1, "without_writes": 10},
            {"acknowledged": 0, "without_writes": 10},
            "nothing was to be written in 10 examples: a schedule needs a step such as Write('a')",
        ),
        (
            {"faults_that_met_traffic": 1, "faults": 0},  # a restart of the server
            {"faults_that_met_traffic": 0, "faults": 0},
            "nothing was broken in 10 examples: a schedule needs a step such as Break(Sever())",
        ),
        ({"unsubscribed": 5}, {"unsubscribed": 6}, "no subscription came about in 6 of 10 examples"),
        ({"gave_up": 5}, {"gave_up": 6}, "it can no longer be served in 6 of 10 examples"),
        ({"unexpected": 9}, {"unexpected": 10}, "no update was expected of the subscriber in 10 examples"),
        ({"untested": 9}, {"untested": 10}, "arrived while a fault that met traffic held, or after it"),
        (
            {"inconclusive": 5},
            {"inconclusive": 6},
            "6 of 10 examples were inconclusive: things had not come to rest in 6",
        ),
        (
            {"inconclusive": 5, "unsubscribed": 4},
            {"inconclusive": 6, "unsubscribed": 4},
            "inconclusive: no subscription came about in 4, things had not come to rest in 2",
        ),
    ],
)
def test_each_reason_differs_from_a_proof_in_one_number(
    enough: dict[str, Any], too_little: dict[str, Any], told: str
) -> None:
    assert replace(PROOF, **enough).proved_nothing() is None
    reason = replace(PROOF, **too_little).proved_nothing()
    assert reason is not None
    assert told in reason


def test_without_an_example_and_with_holes_only() -> None:
    assert Tally().proved_nothing() == "no example was played"
    reason = replace(PROOF, inconclusive=7).proved_nothing(holes=6)
    assert reason is not None
    assert reason.endswith("the cut never fired in 6, things had not come to rest in 1")
