"""Every kind of verdict has the same interface, and agrees with itself in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import pytest_netfault
from pytest_netfault import schedules
from pytest_netfault.checks import acks, guarantees, writes
from pytest_netfault.checks.judging import judge_text

TRACE: dict[str, Any] = {
    "id": "t",
    "promise": "every-event",
    "filter": {"key": "", "prefix": True},
    "start_revision_exclusive": 1,
    "log": [{"revision": 2, "events": [{"type": "put", "key": "k", "value": "1"}]}],
    "stream": [{"events": [{"type": "put", "key": "k", "value": "1", "revision": 2}]}],
    "quiet_at_end": True,
}
ACKS: dict[str, Any] = {
    "writes": [{"id": 1, "key": "k", "value": "a", "outcome": "ok"}],
    "delivered": [{"key": "k", "value": "a"}],
    "final_read": None,
    "quiet_at_end": True,
}
READ = '{"process": 1, "type": "invoke", "op": "read"}\n{"process": 1, "type": "ok", "value": %s}'


@pytest.mark.parametrize(
    ("text", "verdict", "more", "line"),
    [
        (json.dumps(TRACE), "kept", {"broken": []}, "kept"),
        (json.dumps({**TRACE, "stream": []}), "broken", {"broken": ["complete"]}, "broken: complete"),
        (
            json.dumps({**TRACE, "stream": [], "quiet_at_end": False}),
            "inconclusive",
            {"broken": []},
            "inconclusive: stopped before all was quiet, with 1 change to come",
        ),
        (READ % "null", "kept", {"linearizable": True}, "kept: linearizable (register)"),
        (READ % "4", "broken", {"linearizable": False}, "broken: not linearizable (register)"),
        (json.dumps(ACKS), "kept", {"lost": []}, "kept"),
        (json.dumps({**ACKS, "delivered": []}), "broken", {"lost": [1]}, "broken: lost"),
        (
            json.dumps({**ACKS, "writes": [], "delivered": []}),
            "inconclusive",
            {"lost": []},
            "inconclusive: no write was acknowledged",
        ),
        ('{"nodeid": "a", "seed": 1, "links": []}', "skipped", {}, "skipped: events of links"),
        ("[]", "unreadable", {}, "unreadable: the document must be an object"),
    ],
)
def test_a_verdict_is_a_word_json_and_lines(text: str, verdict: str, more: dict[str, Any], line: str) -> None:
    (judged,) = judge_text(text)
    assert judged.verdict.verdict == verdict
    document = judged.verdict.to_json()
    assert next(iter(document)) == "verdict"
    assert document["verdict"] == verdict
    assert {name: document[name] for name in more} == more
    first, *details = judged.verdict.lines()
    assert first.startswith(line)
    assert bool(details) == (verdict == "broken")
    assert all(one.startswith("    ") for one in details)


def test_damaged_cases_are_verdicts_beside_the_others() -> None:
    text = json.dumps({"cases": [TRACE, {"id": "x", "stream": 7}, {**TRACE, "id": None}]})
    assert [(one.number, one.id, one.verdict.verdict) for one in judge_text(text)] == [
        (0, "t", "kept"),
        (1, "x", "unreadable"),
        (2, None, "kept"),
    ]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (acks, "Write", "UniqueWrite"),
        (acks, "AckReport", "AckVerdict"),
        (guarantees, "Verdict", "VerdictName"),
        (writes, "Write", "Acknowledgement"),
        *(
            (module, old, new)
            for module in (pytest_netfault, schedules)
            for old, new in (
                ("Connected", "WaitForConnection"),
                ("Passed", "WaitForBytes"),
                ("Seen", "WaitForEvents"),
            )
        ),
    ],
)
def test_an_old_name_works_and_says_the_new_one(module: Any, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{module.__name__}.{old} is now called {new}") as warned:
        assert getattr(module, old) is getattr(module, new)
    assert warned[0].filename == __file__
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = module.nonsense
