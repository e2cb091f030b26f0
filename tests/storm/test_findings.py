"""Findings by their causes, what is shown of them, and the file of those that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_netfault.storm.baseline import Baseline, read_baseline, write_baseline
from pytest_netfault.storm.findings import Finding, group_lines, grouped

FIRST = Finding(
    kind="undeclared error",
    cause="OSError out of client.ask",
    nodeid="test_a.py::test_b[storm: up 2 rst]",
    test="test_a.py::test_b",
    place="up 2 rst",
    what="GET",
    line="test_a.py:9",
    detail="OSError: reset",
    times=2,
    plays=2,
)
SMALLER = replace(FIRST, nodeid="test_a.py::test_b[storm: up 1 rst]", place="up 1 rst")
ELSEWHERE = replace(
    FIRST, nodeid="test_a.py::test_c[storm: up 3 rst]", test="test_a.py::test_c", place="up 3 rst"
)
OTHER = replace(FIRST, kind="hang", cause="in client.ask")


def test_findings_of_one_cause_are_one_group_with_the_smallest_place_first() -> None:
    [hang, error] = grouped([FIRST, OTHER, ELSEWHERE, SMALLER])
    assert (hang.findings, error.findings) == ((OTHER,), (SMALLER, FIRST, ELSEWHERE))
    assert error.tests == ("test_a.py::test_b", "test_a.py::test_c")


def test_what_is_known_comes_last() -> None:
    assert [group.known for group in grouped([replace(OTHER, known=True), FIRST])] == [False, True]


def test_a_group_says_where_how_sure_and_how_to_repeat_it() -> None:
    [group] = grouped([FIRST, SMALLER, ELSEWHERE])
    assert group_lines(group, ["--netfault-seed=7"]) == [
        "undeclared error: OSError out of client.ask, at 3 places of 2 tests",
        "    OSError: reset",
        "    smallest: test_a.py::test_b, the connection is reset before the 1st exchange up (GET)",
        "    sure: 2 of 2, test_a.py:9",
        "    also: test_a.py::test_c",
        "    pytest 'test_a.py::test_b[storm: up 1 rst]' --netfault-storm --netfault-seed=7",
    ]


def test_a_finding_travels_as_plain_values() -> None:
    assert Finding.from_json(json.loads(json.dumps(FIRST.to_json()))) == FIRST


def test_the_file_of_known_findings_keeps_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "storm.json"
    assert read_baseline(file) == Baseline()
    played = {(one.test, one.place) for one in (FIRST, SMALLER, ELSEWHERE)}
    baseline = Baseline().updated([FIRST, SMALLER, ELSEWHERE], played)
    write_baseline(file, baseline)
    again = read_baseline(file)
    assert again == baseline
    assert again.knows(FIRST.key)
    assert not again.knows(OTHER.key)
    assert [str(place) for place in again.places_of("test_a.py::test_b")] == ["up 1 rst"]


def test_what_was_played_and_not_found_is_gone_and_what_was_not_played_stays() -> None:
    baseline = Baseline().updated([SMALLER], {(SMALLER.test, SMALLER.place)})
    assert baseline.gone([], {(FIRST.test, FIRST.place)}) == []
    assert baseline.updated([], {(FIRST.test, FIRST.place)}) == baseline
    [gone] = baseline.gone([], {(SMALLER.test, SMALLER.place)})
    assert gone.key == SMALLER.key
    assert baseline.updated([], {(SMALLER.test, SMALLER.place)}) == Baseline()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "Expecting value"),
        ("[]", 'it must be a JSON object with "format": 1'),
        ('{"format": 2}', 'it must be a JSON object with "format": 1'),
        ('{"format": 1, "findings": 3}', '"findings" must be a list'),
        ('{"format": 1, "findings": [{"kind": "hang"}]}', "finding 1 must have kind, cause, test and place"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused_in_one_sentence(
    tmp_path: Path, text: str, reason: str
) -> None:
    file = tmp_path / "storm.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="is no baseline of a storm") as caught:
        read_baseline(file)
    assert reason in str(caught.value)
