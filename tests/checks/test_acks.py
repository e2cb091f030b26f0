"""What becomes of acknowledged writes: each list with a case that fills it and one that does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.checks.acks import Acks, Pair, UniqueWrite, judge_acks
from pytest_netfault.checks.reading import FormatError

EMPTY: dict[str, list[Any]] = {
    "lost": [],
    "phantom": [],
    "duplicate": [],
    "unknown_applied": [],
    "unknown_not_applied": [],
    "undetermined": [],
}


def acks(writes: str, delivered: str, final: Any = None, *, quiet: bool = True) -> Acks:
    """``a+ b? c-``: three writes of key k, acknowledged, unknown and failed; the value is the id; ``x:a`` is key x."""
    made = []
    for word in writes.split():
        key, _, name = word[:-1].rpartition(":")
        made.append(UniqueWrite(name, key or "k", name, {"+": "ok", "?": "info", "-": "fail"}[word[-1]]))  # type: ignore[arg-type]
    pairs = [word.rpartition(":") for word in delivered.split()]
    return Acks(tuple(made), tuple(Pair(key or "k", name) for key, _, name in pairs), final, quiet)


CASES: dict[str, tuple[Acks, dict[str, Any], str]] = {
    "all there": (acks("a+ b+", "a b"), {}, "kept"),
    "all there, with a read": (acks("a+ b+", "a b", {"k": "b"}), {}, "kept"),
    "one missing": (acks("a+ b+", "b"), {"lost": ["a"]}, "broken"),
    "the last is missing": (acks("a+ b+", "a"), {"lost": ["b"]}, "broken"),
    "the last is missing, stopped early": (
        acks("a+ b+", "a", quiet=False),
        {"undetermined": ["b"]},
        "inconclusive",
    ),
    "overtaken, stopped early": (acks("a+ b+", "b", quiet=False), {"lost": ["a"]}, "broken"),
    "another key says nothing": (
        acks("a+ x:b+", "x:b", quiet=False),
        {"undetermined": ["a"]},
        "inconclusive",
    ),
    "gone from the store": (acks("a+ b+", "a b", {"k": "a"}), {"lost": ["b"]}, "broken"),
    "absent from the store": (acks("a+ b+", "a b", {}), {}, "kept"),
    "a failed write": (acks("a+ b-", "a"), {}, "kept"),
    "a failed write that came": (acks("a+ b-", "a b"), {"phantom": ["b"]}, "broken"),
    "a failed write in the store": (acks("a+ b-", "a", {"k": "b"}), {"phantom": ["b"]}, "broken"),
    "a value of nobody": (acks("a+", "a z z"), {"phantom": [{"key": "k", "value": "z"}]}, "broken"),
    "a value of another key": (
        acks("a+ x:b+", "a x:b x:a"),
        {"phantom": [{"key": "x", "value": "a"}]},
        "broken",
    ),
    "twice": (acks("a+ b+", "a b a"), {"duplicate": ["a"]}, "kept"),
    "unknown, came": (acks("a+ b?", "a b"), {"unknown_applied": ["b"]}, "kept"),
    "unknown, came twice": (acks("a+ b?", "a b b"), {"unknown_applied": ["b"], "duplicate": ["b"]}, "kept"),
    "unknown, nobody looked": (acks("a+ b?", "a"), {"undetermined": ["b"]}, "inconclusive"),
    "unknown, not in the store": (acks("a+ b?", "a", {"k": "a"}), {"unknown_not_applied": ["b"]}, "kept"),
    "unknown, not in the store yet": (
        acks("a+ b?", "a", {"k": "a"}, quiet=False),
        {"undetermined": ["b"]},
        "inconclusive",
    ),
    "unknown, in the store": (
        acks("a+ b?", "a", {"k": "b"}),
        {"unknown_applied": ["b"], "lost": ["b"]},
        "broken",
    ),
    "unknown, in the store, stopped early": (
        acks("a+ b?", "a", {"k": "b"}, quiet=False),
        {"unknown_applied": ["b"], "undetermined": ["b"]},
        "inconclusive",
    ),
    "unknown, overwritten": (acks("a+ b? c+", "a c", {"k": "c"}), {"undetermined": ["b"]}, "inconclusive"),
    "unknown, below another unknown": (
        acks("a? b?", "", {"k": "a"}),
        {"unknown_applied": ["a"], "lost": ["a"], "undetermined": ["b"]},
        "broken",
    ),
    "unknown, and no key": (acks("x:a+ b?", "x:a", {"x": "a"}), {"unknown_not_applied": ["b"]}, "kept"),
    "unknown, and the key expired": (acks("a+ b?", "a", {}), {"undetermined": ["b"]}, "inconclusive"),
    "nothing acknowledged": (acks("a- b?", "b"), {"unknown_applied": ["b"]}, "inconclusive"),
    "nothing at all": (acks("", ""), {}, "inconclusive"),
}


@pytest.mark.parametrize("name", CASES)
def test_lists(name: str) -> None:
    case, lists, verdict = CASES[name]
    report = judge_acks(case)
    assert report.lists() == {**EMPTY, **lists}
    assert report.verdict == verdict


DOCUMENT = {
    "writes": [{"id": 1, "key": "k", "value": "a", "outcome": "ok"}],
    "delivered": [{"key": "k", "value": "a"}],
    "final_read": {"k": "a"},
    "quiet_at_end": True,
}


@pytest.mark.parametrize(
    "final", [{"k": "a"}, {"key": "k", "value": "a"}, [{"key": "k", "value": "a"}], "a", {"k": "a", "z": "1"}]
)
def test_final_read_has_several_spellings(final: object) -> None:
    read = Acks.from_json({**DOCUMENT, "final_read": final})
    assert read.final_read is not None
    assert read.final_read["k"] == "a"


@pytest.mark.parametrize("missing", ["writes", "delivered", "quiet_at_end"])
def test_a_missing_member_is_named(missing: str) -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != missing}
    with pytest.raises(FormatError, match=f'the document has no "{missing}"'):
        Acks.from_json(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "maybe"}, r'writes\[0\].outcome must be "ok", "fail" or "info", not "maybe"'),
        ({"key": 5}, r"writes\[0\].key must be a string, not 5"),
        ({"id": None}, r"writes\[0\].id must be a string or a whole number, not null"),
    ],
)
def test_a_wrong_member_is_named(change: dict[str, object], message: str) -> None:
    write = {"id": 1, "key": "k", "value": "a", "outcome": "ok", **change}
    with pytest.raises(FormatError, match=message):
        Acks.from_json({**DOCUMENT, "writes": [write]})


def test_ids_and_values_name_one_write() -> None:
    first = {"id": 1, "key": "k", "value": "a", "outcome": "ok"}
    Acks.from_json({**DOCUMENT, "writes": [first, {**first, "id": 2, "value": "b"}]})
    with pytest.raises(FormatError, match=r"writes\[1\].id is 1 a second time"):
        Acks.from_json({**DOCUMENT, "writes": [first, {**first, "value": "b"}]})
    with pytest.raises(FormatError, match=r'writes\[1\].value is "a" a second time'):
        Acks.from_json({**DOCUMENT, "writes": [first, {**first, "id": 2}]})


def test_one_is_not_true() -> None:
    writes = (UniqueWrite(1, "k", 1, "ok"), UniqueWrite(2, "k", True, "ok"))
    assert judge_acks(Acks(writes, (Pair("k", 1),), None, quiet_at_end=True)).lost == (2,)


@st.composite
def some_acks(draw: st.DrawFn) -> Acks:
    outcome = st.sampled_from(["ok", "fail", "info"])
    count = draw(st.integers(0, 5))
    writes = tuple(UniqueWrite(n, draw(st.sampled_from("kx")), n, draw(outcome)) for n in range(count))
    pairs = st.builds(Pair, st.sampled_from("kx"), st.integers(0, 6))
    final = st.none() | st.dictionaries(st.sampled_from("kx"), st.none() | st.integers(0, 6))
    return Acks(writes, tuple(draw(st.lists(pairs, max_size=6))), draw(final), draw(st.booleans()))


@pytest.mark.slow
@given(some_acks())
def test_every_write_is_accounted_for(case: Acks) -> None:
    report = judge_acks(case)
    delivered = {(pair.key, pair.value) for pair in case.delivered}
    for write in case.writes:
        came = (write.key, write.value) in delivered
        assert (write.id in report.phantom) <= (write.outcome == "fail")
        settled = report.unknown_applied + report.unknown_not_applied + report.undetermined
        if write.outcome == "info":
            assert write.id in settled
        if write.outcome == "ok" and not came:
            assert write.id in report.lost + report.undetermined
        if write.outcome == "fail" and came:
            assert write.id in report.phantom
        assert not (write.id in report.lost and write.id in report.undetermined)
        assert not (write.id in report.unknown_applied and write.id in report.unknown_not_applied)
