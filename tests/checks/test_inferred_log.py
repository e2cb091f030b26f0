"""A store without a log: a right store with a right client is never accused, in whatever order writes took effect.

What happens is drawn with a moment of effect for each write, which the judge does not get to see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.reading import Outcome
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Disturbance,
    Filter,
    LogEvent,
    Promise,
    StreamItem,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)
from pytest_netfault.checks.writes import Acknowledgement

END = 30


@dataclass(frozen=True)
class Happened:
    """One write with what nobody but the store knows: when it took effect, if it did."""

    key: str
    value: str | None
    begun: int
    effect: int | None
    ended: int | None
    outcome: Outcome


@st.composite
def happenings(draw: st.DrawFn) -> list[Happened]:
    """Up to six writes of two keys, in the order of issue; no two take effect at once."""
    writes = []
    free = list(range(1, END))
    for begun in sorted(draw(st.lists(st.integers(0, END // 2), min_size=1, max_size=6))):
        key = draw(st.sampled_from(["r.a", "r.b"]))
        value = draw(st.sampled_from(["1", "2", None]))
        outcome: Outcome = draw(st.sampled_from(["ok", "ok", "ok", "info", "fail"]))
        effect = None
        if outcome == "ok" or (outcome == "info" and draw(st.booleans())):
            effect = draw(st.sampled_from([one for one in free if one > begun]))
            free.remove(effect)
        last = begun if effect is None else effect
        ended = None if outcome == "info" else draw(st.integers(last, END))
        writes.append(Happened(key, value, begun, effect, ended, outcome))
    return writes


def commits(writes: list[Happened]) -> list[tuple[int, str, str | None]]:
    """What the store did, in its own order; a delete that finds nothing does nothing."""
    there: set[str] = set()
    done = []
    for one in sorted((w for w in writes if w.effect is not None), key=lambda w: w.effect or 0):
        if one.value is None and one.key not in there:
            continue
        there.discard(one.key) if one.value is None else there.add(one.key)
        done.append((one.effect or 0, one.key, one.value))
    return done


def state_at(done: list[tuple[int, str, str | None]], moment: int) -> dict[str, str]:
    state: dict[str, str] = {}
    for at, key, value in done:
        if at <= moment:
            state.pop(key, None)
            if value is not None:
                state[key] = value
    return state


def told(*changes: tuple[str, str | None]) -> UnplacedDelivery:
    return UnplacedDelivery(
        tuple(LogEvent("delete" if value is None else "put", key, value) for key, value in changes)
    )


@st.composite
def right_runs(draw: st.DrawFn) -> Trace:
    """A run of a right client, as it is recorded."""
    writes = draw(happenings())
    done = commits(writes)
    promise: Promise = draw(st.sampled_from(get_args(Promise)))
    skips = promise in ("latest-value", "latest-per-key")
    away, back = END + 1, END + 1
    if promise == "comes-back" and draw(st.integers(0, 3)):
        away, back = sorted(draw(st.tuples(*[st.integers(0, END)] * 2)))
    called, began, returned = sorted(draw(st.tuples(*[st.integers(0, END)] * 3)))
    stream: list[StreamItem] = []
    cursor = began
    if draw(st.booleans()):
        cursor = draw(st.integers(began, END))
        stream.append(UnplacedSnapshot(state_at(done, cursor)))
    mine = [one for one in done if one[0] > cursor]
    last = {key: at for at, key, _ in mine}
    unshown: set[str] = set()
    if promise == "latest-per-key" and not stream:
        # A key that is gone, or is again what it was, need not be shown at all; one that is not there yet may be.
        then, now = state_at(done, cursor), state_at(done, END)
        unshown = {
            key
            for key in ("r.a", "r.b")
            if (key not in now or now[key] == then.get(key)) and draw(st.booleans())
        }
        early = {key for at, key, _ in done if at <= cursor}
        stream += [
            told((key, None)) for key in ("r.a", "r.b") if key not in early | unshown and draw(st.booleans())
        ]
    coming_back, before = True, len(stream)
    for at, key, value in mine:
        if at <= cursor or key in unshown or (skips and at != last[key] and draw(st.booleans())):
            continue
        if away <= at <= back or (at > back and coming_back and at != mine[-1][0] and draw(st.booleans())):
            continue  # it was away, or is still coming back, which it is at last
        coming_back = coming_back and at <= back
        before += at <= back
        stream.append(told((key, value)))
        if promise in ("latest-per-key", "comes-back") and draw(st.integers(0, 3)) == 0:
            stream.append(told((key, value)))
            before += at <= back
        if draw(st.integers(0, 3)) == 0:
            stream.append(Bookmarked(draw(st.integers(0, 9))))
        if skips and draw(st.integers(0, 3)) == 0:
            cursor, unshown = draw(st.integers(at, END)), set()
            stream.append(UnplacedSnapshot(state_at(done, cursor)))
    looked = draw(st.integers(0, END))  # what was not known by then is not known to the judge
    known = tuple(
        Acknowledgement(
            ((one.key, one.value),),
            one.outcome if one.ended is not None and one.ended <= looked else "info",
            float(one.begun),
            float(one.ended) if one.ended is not None and one.ended <= looked else None,
        )
        for one in writes
    )
    held = state_at(done, looked)
    return Trace(
        promise,
        Filter("r."),
        start_revision_exclusive=1 + sum(one.begun < returned for one in writes),
        start_not_before=1 + sum(one.begun < called for one in writes),
        owed_until=1 + len(writes),
        log=(),
        stream=tuple(stream),
        quiet_at_end=True,
        initial={},
        log_from="acknowledgements",
        writes=known,
        disturbances=None
        if promise != "comes-back"
        else ()
        if back > END
        else (Disturbance(1 + sum(one.begun <= back for one in writes), before),),
        held=draw(st.none() | st.just({key: held.get(key) for key in ("r.a", "r.b")})),
    )


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(right_runs())
def test_a_right_client_of_a_right_store_is_kept(trace: Trace) -> None:
    verdict = judge_trace(trace)
    assert verdict.verdict == "kept", (verdict.evidence, verdict.writes)
    assert judge_trace(Trace.from_json(trace.to_json())) == verdict


def put(value: str, outcome: Outcome = "ok", *, begun: float = 1, ended: float | None = 2) -> Acknowledgement:
    return Acknowledgement((("r.a", value),), outcome, begun, ended)


def run(
    writes: list[Acknowledgement],
    *stream: StreamItem,
    promise: Promise = "every-event",
    start: int = 1,
    **more: object,
) -> tuple[str, ...]:
    trace = Trace(
        promise,
        Filter("r."),
        start,
        (),
        stream,
        quiet_at_end=True,
        initial={},
        log_from="acknowledgements",
        writes=tuple(writes),
        **more,  # type: ignore[arg-type]
    )
    return judge_trace(trace).broken


SECOND = put("2", begun=3, ended=4)


@pytest.mark.parametrize(
    ("writes", "stream", "broken"),
    [
        # What was acknowledged must arrive, whatever its order.
        ([put("1"), SECOND], [told(("r.a", "1")), told(("r.a", "2"))], ()),
        ([put("1"), SECOND], [told(("r.a", "2")), told(("r.a", "1"))], ()),
        ([put("1"), SECOND], [told(("r.a", "1"))], ("complete",)),
        # A snapshot that comes first excuses what it may have hidden.
        ([put("1"), SECOND], [UnplacedSnapshot({"r.a": "2"})], ()),
        ([put("1"), SECOND], [UnplacedSnapshot({"r.a": "1"})], ("complete",)),
        ([put("1"), put("2")], [UnplacedSnapshot({"r.a": "1"})], ()),
        ([put("1"), SECOND], [UnplacedSnapshot({})], ("complete",)),
        # One that does not come first excuses nothing.
        ([put("1"), SECOND], [told(("r.a", "1")), UnplacedSnapshot({"r.a": "2"})], ("complete",)),
        # What nobody wrote, or what was rejected, must not.
        ([put("1")], [told(("r.a", "1")), told(("r.a", "3"))], ("phantom",)),
        ([put("1", "fail")], [told(("r.a", "1"))], ("phantom",)),
        ([put("1", "info")], [told(("r.a", "1"))], ()),
    ],
)
def test_what_an_inferred_log_proves(
    writes: list[Acknowledgement], stream: list[StreamItem], broken: tuple[str, ...]
) -> None:
    assert run(writes, *stream) == broken


@pytest.mark.parametrize(
    ("writes", "stream", "broken"),
    [
        ([put("1"), SECOND], [told(("r.a", "2"))], ()),
        ([put("1"), SECOND], [UnplacedSnapshot({"r.a": "2"})], ()),
        ([put("1"), SECOND], [told(("r.a", "2")), told(("r.a", "1"))], ("complete",)),
        ([put("1"), put("2")], [told(("r.a", "2")), told(("r.a", "1"))], ()),
        ([put("1"), SECOND], [told(("r.a", "1"))], ("complete",)),
        ([put("1"), SECOND], [told(("r.a", "2")), UnplacedSnapshot({"r.a": "1"})], ("complete",)),
    ],
)
def test_what_it_proves_of_a_client_that_may_skip(
    writes: list[Acknowledgement], stream: list[StreamItem], broken: tuple[str, ...]
) -> None:
    assert run(writes, *stream, promise="latest-value") == broken


def delete(outcome: Outcome = "ok", *, begun: float = 3, ended: float | None = 4) -> Acknowledgement:
    return Acknowledgement((("r.a", None),), outcome, begun, ended)


GONE = [put("1"), delete()]
CAME_BACK = [put("1"), SECOND, put("1", begun=5, ended=6)]
NEIGHBOUR = Acknowledgement((("r.b", "1"),), "ok", 7, 8)


@pytest.mark.parametrize(
    ("writes", "stream", "start", "broken"),
    [
        # A key that is gone, and was never shown: there is nothing that the subscriber has wrong.
        (GONE, [], 2, ()),
        (GONE, [told(("r.a", "1"))], 2, ("complete",)),
        ([*GONE, NEIGHBOUR], [told(("r.b", "1"))], 2, ()),
        ([*GONE, NEIGHBOUR], [told(("r.a", "1")), told(("r.b", "1"))], 2, ("complete",)),
        (GONE, [UnplacedSnapshot({})], 2, ()),
        (GONE, [UnplacedSnapshot({"r.a": "1"})], 2, ("complete",)),
        (GONE, [UnplacedSnapshot({"r.a": "1"}), told(("r.a", None))], 2, ()),
        # The same where it came and went since.
        (GONE, [], 1, ()),
        ([*GONE, NEIGHBOUR], [told(("r.b", "1"))], 1, ()),
        # One that is there, and is not what it was at the start, must be shown.
        ([put("1"), SECOND], [], 2, ("complete",)),
        ([put("1"), SECOND], [told(("r.a", "2"))], 2, ()),
        # One that is again what it was at the start need not.
        (CAME_BACK, [], 2, ()),
        (CAME_BACK, [], 1, ("complete",)),
        (CAME_BACK, [told(("r.a", "2"))], 2, ("complete",)),
        # A key that was not there when all began may be said to be gone; it is then to be shown when it comes.
        ([put("1")], [told(("r.a", None)), told(("r.a", "1"))], 1, ()),
        ([put("1")], [told(("r.a", "1")), told(("r.a", None))], 1, ("complete",)),
        ([put("1")], [told(("r.a", "1")), told(("r.b", None))], 1, ()),
        ([put("1")], [told(("r.a", "1")), told(("x", None))], 1, ("phantom",)),
    ],
)
def test_what_it_proves_of_a_client_that_follows_each_key_alone(
    writes: list[Acknowledgement], stream: list[StreamItem], start: int, broken: tuple[str, ...]
) -> None:
    assert run(writes, *stream, promise="latest-per-key", start=start) == broken


def test_what_a_key_was_at_the_start_has_the_benefit_of_the_doubt() -> None:
    """Two writes at once: either may be the state at the start, and a third one brings one of them back."""
    again = put("1", begun=9, ended=10)

    def judged(first: Acknowledgement, second: Acknowledgement) -> tuple[str, ...]:
        return run([first, second, NEIGHBOUR, again], promise="latest-per-key", start=4)

    assert judged(put("1"), SECOND) == ("complete",)
    assert judged(put("1"), put("2")) == ()
    assert judged(put("1", "info", ended=None), SECOND) == ()
    assert judged(put("1"), put("2", begun=3, ended=8)) == ()  # it may have taken effect after the start


@pytest.mark.parametrize("outcome", ["ok", "info", "fail"])
@pytest.mark.parametrize("held", [None, {"r.a": "1"}, {"r.a": None}])
def test_a_key_that_was_never_shown_may_be_gone(outcome: Outcome, held: dict[str, str | None] | None) -> None:
    """A delete that was under way beside the put may have come after it; what the store holds tells."""
    writes = [put("1"), delete(outcome, begun=1, ended=None if outcome == "info" else 2)]
    is_there = outcome == "fail" if held is None else held["r.a"] == "1" and outcome != "info"
    if held == {"r.a": None}:
        is_there = False  # it may have expired
    assert run(writes, promise="latest-per-key", held=held) == (("complete",) if is_there else ())


def test_what_was_written_while_the_subscription_came_about() -> None:
    window = {"start_not_before": 1}
    first, then = put("1"), SECOND

    def judged(*stream: StreamItem, later: Acknowledgement = then) -> tuple[str, ...]:
        trace = Trace(
            "every-event",
            Filter("r."),
            3,
            (),
            stream,
            quiet_at_end=True,
            log_from="acknowledgements",
            writes=(first, later),
            **window,  # type: ignore[arg-type]
        )
        return judge_trace(trace).broken

    assert judged() == ()  # it may have begun after both
    assert judged(told(("r.a", "2"))) == ()
    assert judged(told(("r.a", "1"))) == ("complete",)  # the second surely came after the first
    assert judged(told(("r.a", "1")), later=put("2")) == ()


def test_a_key_that_reads_like_a_revision_is_named_as_it_is() -> None:
    """What a store without a log committed is called a write; what its keys and values say is left alone."""
    writes = (Acknowledgement((("revision 7", "revision 8"),), "ok", 1.0, 2.0),)
    trace = Trace(
        "every-event", Filter(), 1, (), (), quiet_at_end=True, log_from="acknowledgements", writes=writes
    )
    verdict = judge_trace(trace)
    assert [str(one) for one in verdict.evidence] == [
        "complete: write 1 (put 'revision 7') had not arrived when all was quiet"
    ]
    stranger = Delivered((TraceEvent("put", "revision 9", "revision 3", 0),))
    verdict = judge_trace(replace(trace, stream=(stranger,)))
    assert str(verdict.evidence[0]) == (
        "phantom: put 'revision 9' = 'revision 3' came in item 0, and the log never says so"
    )
