"""The search: rules in pairs, a brute force beside it, recorded histories, and its honesty about limits."""

from __future__ import annotations

import dataclasses
import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.checks import shared_values
from pytest_netfault.checks.history import History, Operation
from pytest_netfault.checks.linearizability import check_linearizable
from pytest_netfault.checks.models import IMPOSSIBLE, effect_of, step
from pytest_netfault.checks.reading import FormatError
from pytest_netfault.checks.shared_values import NO_VALUE, SharedValues

HISTORIES = Path(__file__).parent / "histories"

_NAMES = {"r": "read", "w": "write", "c": "cas", "g": "get", "p": "put", "a": "append", "d": "delete"}


def history(text: str) -> History:
    """``1w4 2r 1. 2=0``: process 1 writes 4, process 2 reads, 1 is done, 2 is answered 0.

    Also ``1c4>5`` (cas), ``1!`` (fail), ``1#`` (compare failed), ``1?`` (unknown), ``1px:4`` (put of key x),
    ``1=-`` (no value).
    """
    events: list[dict[str, Any]] = []
    for word in text.split():
        process, rest = int(word[0]), word[1:]
        of: dict[str, Any] = {"process": process}
        if rest in ".?!#":
            of["type"] = {".": "ok", "?": "info", "!": "fail", "#": "fail"}[rest]
            if rest == "#":
                of["result"] = "compare-failed"
        elif rest[0] == "=":
            of.update(type="ok", value=None if rest == "=-" else rest[1:])
        else:
            of.update(type="invoke", op=_NAMES[rest[0]])
            key, colon, value = rest[1:].rpartition(":")
            if colon:
                of["key"] = key
            if of["op"] == "cas":
                of["value"] = [None if part == "-" else part for part in value.split(">")]
            elif value:
                of["value"] = value
        events.append(of)
    return History.from_events(events)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("1w4 1. 2r 2=4", "1w4 1. 2r 2=5"),  # a read sees what was written
        ("1r 1=-", "1r 1=0"),  # a register begins with no value
        ("1w4 2r 1. 2=-", "1w4 1. 2r 2=-"),  # a read may be before a write that it overlaps
        ("1w4 1? 2r 2=4", "1w4 1! 2r 2=4"),  # unknown may have happened, failed has not
        ("1w4 1? 2r 2=- 2r 2=4", "1w4 1. 2r 2=- 2r 2=4"),  # unknown may take effect late
        ("1w4 2r 2=4", "1w4 2r 2=5"),  # open at the end is unknown
        ("1w4 1? 2r 2=4 2r 2=4", "1w4 1? 2r 2=4 2w5 2. 2r 2=4"),  # it takes effect once
        ("1w4 1. 2w5 2. 3r 3=5", "1w4 1. 2w5 2. 3r 3=4"),  # real time orders
        ("1w4 2w5 1. 2. 3r 3=4", "1w4 2w5 1. 2. 3r 3=4 3r 3=5"),  # overlapping writes take one order
        ("1w4 1. 2c4>5 2. 3r 3=5", "1w4 1. 2c4>5 2. 3r 3=4"),  # cas writes
        ("1w4 1. 2c4>5 2.", "1w4 1. 2c6>5 2."),  # cas compares
        ("1c->5 1. 2r 2=5", "1c4>5 1. 2r 2=5"),  # cas from no value
        ("1w4 1. 2c5>6 2#", "1w4 1. 2c4>6 2#"),  # a failed compare saw something else
        ("1w4 1. 2c4>6 2!", "1w4 1. 2c4>6 2#"),  # ... and only if it says so
        ("1w4 1. 2c4>5 2? 3r 3=5", "1w4 1. 2c6>5 2? 3r 3=5"),  # an unknown cas compares too
        ("1w4 1. 2c4>5 2? 3r 3=4", "1w4 1. 2c4>5 2. 3r 3=4"),
        ("1w4 1. 2r 2!", "1w4 1. 2r 2=5"),  # a failed read says nothing
        ("1px:4 1. 2gx: 2=4", "1px:4 1. 2gy: 2=4"),  # keys are apart
        ("1ax:a 1. 1ax:b 1. 2gx: 2=ab", "1ax:a 1. 1ax:b 1. 2gx: 2=ba"),  # append keeps order
        ("1ax:a 2ax:b 1. 2. 3gx: 3=ba", "1ax:a 1. 2ax:b 2. 3gx: 3=ba"),
        ("1px:4 1. 1dx: 1. 2gx: 2=-", "1px:4 1. 1dx: 1. 2gx: 2=4"),  # delete leaves nothing
        ("1px:4 1. 1dx: 1. 1ax:5 1. 2gx: 2=5", "1px:4 1. 1dx: 1. 1ax:5 1. 2gx: 2=45"),  # ... to append to
        ("1px:4 1. 2cx:4>5 2. 2gx: 2=5", "1px:4 1. 2cx:3>5 2. 2gx: 2=5"),  # cas of a keyed store
    ],
)
def test_a_pair_of_histories(good: str, bad: str) -> None:
    assert check_linearizable(history(good)).linearizable is True
    assert check_linearizable(history(bad)).linearizable is False


def test_nothing_is_linearizable() -> None:
    assert check_linearizable(History(())).verdict == "kept"


def test_true_is_not_one() -> None:
    def events(value: object) -> History:
        return History.from_events(
            [
                {"process": 1, "type": "invoke", "op": "write", "value": 1},
                {"process": 1, "type": "ok"},
                {"process": 1, "type": "invoke", "op": "read"},
                {"process": 1, "type": "ok", "value": value},
            ]
        )

    assert check_linearizable(events(1.0)).linearizable is True
    assert check_linearizable(events(True)).linearizable is False


# -- evidence -----------------------------------------------------------------------------------------------


def test_evidence_is_the_longest_prefix_and_what_broke_it() -> None:
    verdict = check_linearizable(history("1w4 1. 2w5 2? 3r 3=5 3r 3=4 3r 3=4"))
    assert verdict.evidence is not None
    assert str(verdict.evidence) == (
        'all before line 8 can be explained, and line 8 cannot: process 3: read -> "4" (invoked in line 7), '
        'where the value was "5"'
    )
    assert [str(one) for one in verdict.evidence.prefix] == [
        'process 1: write "4"',
        'process 2: write "5" (unknown)',
        'process 3: read -> "5"',
    ]


def test_evidence_names_the_key_and_all_values() -> None:
    verdict = check_linearizable(history("1px:4 2px:5 1. 2. 3gx: 3=6 1py:1 1."))
    assert verdict.evidence is not None
    assert verdict.evidence.key == "x"
    assert sorted(map(str, verdict.evidence.possible)) == ["4", "5"]


# -- models -------------------------------------------------------------------------------------------------


def test_the_ops_imply_the_model() -> None:
    assert check_linearizable(history("1w4 1.")).model == "register"
    assert check_linearizable(history("1px:4 1.")).model == "kv"


def test_a_model_can_be_named() -> None:
    assert check_linearizable(history("1w4 1."), model="cas-register").model == "register"
    keyed = history("1wx:4 1. 2ry: 2=-")
    assert check_linearizable(keyed, model="kv").linearizable is True
    with pytest.raises(FormatError, match="the model register has no put") as caught:
        check_linearizable(history("1px:4 1."), model="register")
    assert caught.value.line == 1
    with pytest.raises(FormatError, match='write has no "key", and the model kv needs one'):
        check_linearizable(history("1w4 1."), model="kv")
    with pytest.raises(ValueError, match="there is no model 'queue'; the models are register"):
        check_linearizable(history("1w4 1."), model="queue")


# -- limits -------------------------------------------------------------------------------------------------


def hard(key: str, processes: int = 9) -> list[dict[str, Any]]:
    """Overlapping appends and an answer that leaves one out in the end: every order must be tried."""
    events: list[dict[str, Any]] = [
        {"process": f"{key}{n}", "type": "invoke", "op": "append", "key": key, "value": f"{n}"}
        for n in range(processes)
    ]
    events.append({"process": f"{key}r", "type": "invoke", "op": "get", "key": key})
    events += [{"process": f"{key}{n}", "type": "ok"} for n in range(processes)]
    events.append({"process": f"{key}r", "type": "ok", "value": "never"})
    return events


def easy(key: str) -> list[dict[str, Any]]:
    return [
        {"process": "p", "type": "invoke", "op": "put", "key": key, "value": "1"},
        {"process": "p", "type": "ok"},
        {"process": "p", "type": "invoke", "op": "get", "key": key},
        {"process": "p", "type": "ok", "value": "2"},
    ]


def test_a_limit_gives_no_verdict() -> None:
    verdict = check_linearizable(History.from_events(hard("x")), max_steps=1_000)
    assert (verdict.linearizable, verdict.verdict, verdict.open_keys) == (None, "inconclusive", ("x",))
    assert verdict.steps <= 1_000
    with pytest.raises(ValueError, match="max_steps must be at least 1, not 0"):
        check_linearizable(History(()), max_steps=0)


def appends(number: int, size: int, end: str) -> list[dict[str, Any]]:
    """Appends under way together, of which none is the end of the others, and an answer that nothing explains."""
    values = [f"{n:05d}" * (size // 5) for n in range(number)]
    events = [
        {"process": n, "type": "invoke", "op": "append", "key": "x", "value": v} for n, v in enumerate(values)
    ]
    events.append({"process": "r", "type": "invoke", "op": "get", "key": "x"})
    events += [{"process": n, "type": end} for n in range(number)]
    return [*events, {"process": "r", "type": "ok", "value": "never"}]


# What the interpreter takes at most, in MiB, is measured by tests/benchmarks/bench_checkers.py.
@pytest.mark.slow
@pytest.mark.parametrize(
    "events", [appends(20, 1_000, "ok"), appends(2_000, 5, "info"), appends(300, 1_000, "info")]
)
def test_a_limit_of_memory_gives_no_verdict(events: list[dict[str, Any]]) -> None:
    tracemalloc.start()
    try:
        verdict = check_linearizable(History.from_events(events), max_bytes=8_000_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (verdict.verdict, verdict.out_of_memory, verdict.open_keys) == ("inconclusive", True, ("x",))
    assert verdict.steps < 100_000
    assert most < 24_000_000  # with the history, and what one more turn adds
    with pytest.raises(ValueError, match="max_bytes must be at least 1, not 0"):
        check_linearizable(History(()), max_bytes=0)


def test_operations_under_way_together_share_what_is_open() -> None:
    events: list[dict[str, Any]] = [asked(n, "write", n) for n in range(1_500)]
    tracemalloc.start()
    try:
        verdict = check_linearizable(History.from_events([*events, *(told(n) for n in range(1_500))]))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verdict.linearizable is True
    assert most < 40_000_000  # it was 500 MB when every branch was kept
    too_large = check_linearizable(
        History.from_events(events + [told(n) for n in range(1_500)]), max_bytes=10_000
    )
    assert (too_large.verdict, too_large.steps) == ("inconclusive", 0)


def test_the_key_that_holds_most_is_given_up_first() -> None:
    both = History.from_events([*appends(20, 1_000, "ok"), *easy("y")])
    verdict = check_linearizable(both, max_bytes=100_000)
    assert (verdict.linearizable, verdict.evidence and verdict.evidence.key) == (False, "y")
    right = [{**event, "value": "1"} if event["type"] == "ok" else event for event in easy("y")]
    undecided = check_linearizable(
        History.from_events([*right, *appends(20, 1_000, "ok")]), max_bytes=100_000
    )
    assert (undecided.verdict, undecided.open_keys, list(undecided.orders)) == ("inconclusive", ("x",), ["y"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["", "a", "b", "aa", "ab", "\ud800", "\udc00", "\U00010000"]), max_size=8))
def test_shared_values_are_equal_exactly_where_the_values_are(texts: list[str]) -> None:
    shared = SharedValues()
    numbers: dict[str, int] = {}
    for order in itertools.islice(itertools.permutations(texts), 60):
        number, text = NO_VALUE, ""
        for piece in order:
            after = shared.appended(number, piece)
            assert after is not None
            number, text = after, text + piece
            assert shared.value(number) == text
            assert numbers.setdefault(text, number) == number == shared.number(text)
    assert len(set(numbers.values())) == len(numbers)


def test_what_has_the_same_fingerprint_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_values, "_PRIME", 1)
    shared = SharedValues()
    a, b, c = (shared.number(text) for text in "abc")
    assert len({a, b, c}) == 3
    assert [shared.number(text) for text in "abc"] == [a, b, c]
    assert shared.appended(a, "b") == shared.number("ab") != shared.appended(b, "a")
    assert shared.appended(shared.number(1), "a") is None
    assert shared.number(True) != shared.number("1")


def test_a_hard_key_does_not_hide_a_refuted_one() -> None:
    both = History.from_events([*hard("x"), *easy("y")])
    verdict = check_linearizable(both, max_steps=1_000)
    assert verdict.linearizable is False
    assert verdict.evidence is not None
    assert verdict.evidence.key == "y"


def test_unknown_writes_do_not_double_the_work() -> None:
    events: list[dict[str, Any]] = []
    for n in range(40):
        events.append({"process": f"u{n}", "type": "invoke", "op": "write", "value": n})
        events.append({"process": f"u{n}", "type": "info"})
        events += [
            {"process": 1, "type": "invoke", "op": "write", "value": f"k{n}"},
            {"process": 1, "type": "ok"},
        ]
        events += [
            {"process": 1, "type": "invoke", "op": "read"},
            {"process": 1, "type": "ok", "value": f"k{n}"},
        ]
    events += [{"process": 1, "type": "invoke", "op": "read"}, {"process": 1, "type": "ok", "value": "never"}]
    verdict = check_linearizable(History.from_events(events), max_steps=20_000)
    assert verdict.linearizable is False


def asked(process: Any, op: str, value: object = None) -> dict[str, Any]:
    return {"process": process, "type": "invoke", "op": op, "value": value}


def told(process: Any, kind: str = "ok", value: object = None) -> dict[str, Any]:
    return {"process": process, "type": kind, "value": value}


NEVER = [asked("end", "read"), told("end", value="never")]


def test_an_unknown_write_that_was_not_needed_costs_nothing() -> None:
    events: list[dict[str, Any]] = []
    for n in range(20):
        events += [asked(f"u{n}", "write", n), told(f"u{n}", "info")]
        # The read may have seen the unknown write or the certain one; afterwards it makes no difference.
        events += [asked(1, "write", n), asked(2, "read"), told(2, value=n), told(1)]
    verdict = check_linearizable(History.from_events(events + NEVER), max_steps=20_000)
    assert verdict.linearizable is False


def test_unknown_writes_of_one_value_are_one_choice() -> None:
    events: list[dict[str, Any]] = []
    for n in range(16):
        events += [asked(f"u{n}", "write", "same"), told(f"u{n}", "info")]
    for _ in range(8):
        events += [asked(1, "write", "other"), told(1), asked(1, "read"), told(1, value="same")]
    verdict = check_linearizable(History.from_events(events + NEVER), max_steps=20_000)
    assert verdict.linearizable is False


# -- brute force --------------------------------------------------------------------------------------------


def explains(order: tuple[Operation, ...]) -> bool:
    """Whether this order respects real time and every answer."""
    for one, two in itertools.combinations(order, 2):
        if two.returned is not None and two.returned < one.invoked:
            return False
    states: dict[Any, Any] = {}
    for one in order:
        effect = effect_of(one)
        if effect is None:
            continue
        after = step(states.get(one.key), effect)
        if after is IMPOSSIBLE:
            return False
        states[one.key] = after
    return True


def brute_force(operations: tuple[Operation, ...]) -> bool:
    """Every subset of the unknown ones, in every order."""
    certain = [one for one in operations if one.outcome == "ok" or one.compare_failed]
    unknown = [one for one in operations if one.outcome == "info" and one.op not in ("read", "get")]
    return any(
        explains(order)
        for size in range(len(unknown) + 1)
        for used in itertools.combinations(unknown, size)
        for order in itertools.permutations([*certain, *used])
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Up to five operations of three processes, answers drawn from few values so that both verdicts are common."""
    keyed = draw(st.booleans())
    timed = draw(st.booleans())
    keys = st.sampled_from("xy") if keyed else st.none()
    value = st.sampled_from("12")
    events: list[dict[str, Any]] = []
    running: dict[int, str] = {}
    free = [1, 2, 3]
    count = 0
    now = 0
    while count < 5 and (free or running):
        now += draw(st.integers(0, 2))
        clock = {"time": now} if timed else {}
        starts = [p for p in free if p not in running]
        if starts and (not running or draw(st.booleans())):
            process = draw(st.sampled_from(starts))
            ops = ["get", "put", "append", "delete", "cas"] if keyed else ["read", "write", "cas"]
            op = draw(st.sampled_from(ops))
            of: dict[str, Any] = {"process": process, "type": "invoke", "op": op, **clock}
            if keyed:
                of["key"] = draw(keys)
            if op == "cas":
                of["value"] = [draw(st.none() | value), draw(value)]
            elif op in ("write", "put", "append"):
                of["value"] = draw(value)
            running[process] = op
            count += 1
        else:
            process = draw(st.sampled_from(sorted(running)))
            op = running.pop(process)
            kind = draw(st.sampled_from(["ok", "ok", "ok", "fail", "info"]))
            of = {"process": process, "type": kind, **clock}
            if kind == "ok" and op in ("read", "get"):
                of["value"] = draw(
                    st.sampled_from([None, "1", "2", "12", "21"] if keyed else [None, "1", "2"])
                )
            if kind == "fail" and op == "cas" and draw(st.booleans()):
                of["result"] = "compare-failed"
            if kind == "info":
                free.remove(process)
        events.append(of)
    for process in sorted(running):
        if draw(st.booleans()):
            clock = {"time": now} if timed else {}
            answer = {"value": draw(value)} if running[process] in ("read", "get") else {}
            events.append({"process": process, "type": "ok", **answer, **clock})
    return History.from_events(events)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(histories())
def test_the_search_agrees_with_brute_force(case: History) -> None:
    assert check_linearizable(case).linearizable == brute_force(case.operations)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(histories())
def test_orders_and_prefixes_explain_what_they_claim(case: History) -> None:
    verdict = check_linearizable(case)
    for order in verdict.orders.values():
        assert explains(order)
    if verdict.evidence is not None:
        assert explains(verdict.evidence.prefix)
        stuck = verdict.evidence.operation
        mine = [one for one in case.operations if one.key == stuck.key]
        for one in mine:
            before = one.returned is not None and stuck.returned is not None and one.returned < stuck.returned
            if before and effect_of(one) is not None:
                assert one in verdict.evidence.prefix
        # Cut off after the last line that can be explained, the key's history is linearizable; with it, not.
        assert stuck.returned is not None
        assert brute_force(
            tuple(_until(one, stuck.returned - 1) for one in mine if one.invoked < stuck.returned)
        )
        assert not brute_force(
            tuple(_until(one, stuck.returned) for one in mine if one.invoked < stuck.returned)
        )


def _until(one: Operation, moment: int) -> Operation:
    """The operation as it looked at a moment: what had not returned was open. That it failed in the end stays known."""
    if one.returned is None or one.returned <= moment:
        return one
    if one.outcome == "fail":
        return dataclasses.replace(one, compare_failed=False)
    return dataclasses.replace(one, answer=None, outcome="info", returned=None)


# -- recorded histories -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(HISTORIES.glob("*/*.jsonl")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_recorded_histories(path: Path) -> None:
    with path.open(encoding="utf-8") as lines:
        verdict = check_linearizable(History.from_lines(lines))
    assert verdict.verdict == {"good": "kept", "bad": "broken"}[path.parent.name]


def test_there_are_recorded_histories_of_both_kinds() -> None:
    assert len(list(HISTORIES.glob("good/*.jsonl"))) == len(list(HISTORIES.glob("bad/*.jsonl"))) == 5
