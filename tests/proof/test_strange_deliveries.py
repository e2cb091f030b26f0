"""Whatever a client delivers, a loss is told: no report fails for its subject."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_netfault.checks.reading import decode
from pytest_netfault.checks.trace import Trace
from pytest_netfault.proof.contract import Run, Timeouts
from pytest_netfault.proof.files import document, write_report
from pytest_netfault.proof.picture import picture
from pytest_netfault.proof.plain import HUGE, plain, printed_revisions, with_revisions
from pytest_netfault.proof.recording import Recording
from pytest_netfault.proof.story import tell
from pytest_netfault.report.timeline_text import drawn
from pytest_netfault.schedules import Break, Heal, Schedule, Sever, Subscribe, Write
from pytest_netfault.store import Delivery, Event, Resync

FAST = Timeouts(settle=0.02, patience=0.01, impatience=0.01, last_writes=())
SCHEDULE = Schedule([Subscribe(), Write("a"), Break(Sever()), Write("a"), Heal(), Write("b")])


class Level(enum.IntEnum):
    ONE = 1


class Wild(str):
    """A text of a client's own, which makes trouble wherever a program asks it for anything."""

    __slots__ = ()

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError("do not look at me")

    __repr__ = __str__ = __format__ = _refuse


class Counter(int):
    __slots__ = ()

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError("do not print me")

    __repr__ = __str__ = __format__ = _refuse


NUMBERS = (
    st.integers(-3, 9)
    | st.sampled_from([10**5_000, 10**5_000 + 1, -(10**5_000), 2**64, HUGE, -HUGE, Level.ONE, Counter(3)])
    | st.builds(Counter, st.integers())
)
TEXTS = (
    st.text(max_size=8)
    | st.sampled_from(
        ["r17.a", "r17.b", "v2", "r17.\ud800", "\udfff", "\x1b[2J\r\n::error::x", "</script>", ""]
    )
).flatmap(lambda text: st.sampled_from([text, Wild(text)]))
EVENTS = st.builds(Event, TEXTS, TEXTS | st.none(), NUMBERS | st.none())
DELIVERIES = (
    st.builds(lambda events: Delivery(events=tuple(events)), st.lists(EVENTS, max_size=3))
    | st.builds(lambda revision: Delivery(bookmark=revision), NUMBERS)
    | st.builds(
        lambda revision, kvs: Delivery(resync=Resync(revision, kvs)),
        NUMBERS | st.none(),
        st.dictionaries(TEXTS.map(str.__str__), TEXTS, max_size=3),
    )
    | st.builds(lambda text: Delivery(error=text), TEXTS)
)


def play(world: Any, strange: Iterable[Delivery], **how: Any) -> Run:
    """A run in which the subscriber is handed these, and nothing of what was committed."""

    def subscribe(_client: Any, _prefix: str, deliver: Any) -> None:
        for one in strange:
            deliver(one)

    run: Run = world.play(
        SCHEDULE, world.opener(after_outage="never", subscribe=subscribe), timeouts=FAST, **how
    )
    return run


def assert_told(run: Run, folder: Path) -> None:
    """Everything that is made of a loss can be made, written and read again, and says the same."""
    assert run.broken
    path = write_report(folder, "lost", run, document(run, seed=1, settle=1.0))
    assert Trace.from_json(decode(path.read_text(encoding="utf-8"))) == run.recorded
    message = tell(
        run,
        found="",
        repeated=(1, 1),
        seed=1,
        promise="every-event",
        settle=1.0,
        trace_path=path,
        page="x.html",
    )
    message.encode()
    assert all(one.isprintable() or one == "\n" for one in message)
    drawn(picture(run, seed=1)).encode("ascii")
    for file in folder.iterdir():
        file.read_text(encoding="utf-8")


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strange=st.lists(DELIVERIES, max_size=5), promise=st.sampled_from(["every-event", "latest-value"]))
def test_a_loss_is_told_whatever_else_was_delivered(
    strange: list[Delivery], promise: str, make_world: Any, tmp_path: Path
) -> None:
    run = play(make_world(), strange, promise=promise)
    if run.broken:
        assert_told(run, tmp_path)


@pytest.mark.parametrize(
    "strange",
    [
        Delivery(events=(Event("r17.a", "\ud800", 10**5_000),)),
        Delivery(events=(Event("r17.\udfff", None, -(10**5_000)),)),
        Delivery(bookmark=10**5_000),
        Delivery(resync=Resync(10**5_000, {"r17.\ud800": "\udfff"})),
        Delivery(error="\ud800"),
    ],
    ids=["event", "delete", "bookmark", "snapshot", "error"],
)
@pytest.mark.parametrize("log", [True, False])
def test_each_kind_of_delivery_with_what_cannot_be_printed(
    strange: Delivery, log: bool, world: Any, tmp_path: Path
) -> None:
    if not log:
        world.server = type("NoLog", (), {"address": "direct"})()
    run = play(world, [strange, Delivery(events=(Event("r17.zz", "never written", 1),))])
    assert_told(run, tmp_path)


def test_nothing_is_lost_of_what_is_merely_long() -> None:
    """Half the length at which Python may refuse to print stays what it is, in the trace and in the verdict."""
    long = 10**599
    assert printed_revisions([Delivery(bookmark=long), Delivery(bookmark=-long)]) == {}


@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_numbers_that_stand_for_others_are_as_equal_and_in_the_same_order(numbers: list[int]) -> None:
    handed = [plain(Delivery(bookmark=one)) for one in numbers]
    printed = printed_revisions(handed)
    shown = [with_revisions(one, printed).bookmark or 0 for one in handed]
    for one, its in zip(numbers, shown, strict=True):
        assert len(f"{its}") < 640
        assert its == one or not -HUGE <= one <= HUGE
        for other, others in zip(numbers, shown, strict=True):
            assert (int(one) < int(other), int(one) == int(other)) == (its < others, its == others)


@given(DELIVERIES)
def test_what_is_plain_equals_what_was_delivered(delivery: Delivery) -> None:
    made = plain(delivery)
    assert made == delivery
    assert plain(made) == made
    json.dumps([[one.key, one.value] for one in made.events or ()])
    for one in made.events or ():
        assert {type(one.key), type(one.value), type(one.revision)} <= {str, int, type(None)}
    assert repr(made)


class Unchecked(Event):
    """An event of a client that went past what an Event checks."""

    def __post_init__(self) -> None:
        pass


@pytest.mark.parametrize("event", [Unchecked(b"a", "1", 2), Unchecked("a", 1, 2), Unchecked("a", "1", 2.5)])  # type: ignore[arg-type]
def test_what_is_no_text_or_number_is_the_mistake_of_its_adapter(event: Event) -> None:
    recording = Recording()
    with pytest.raises(TypeError, match="must be a"):
        recording.deliver(Delivery(events=(event,)))
    with pytest.raises(TypeError, match="must be a"):
        recording.snapshot()


@pytest.mark.parametrize("handed", [10**5_000, Wild("x"), None, b"\xff"], ids=lambda one: type(one).__name__)
def test_a_mistake_that_cannot_be_printed_is_named_all_the_same(handed: Any) -> None:
    recording = Recording()
    with pytest.raises(TypeError, match=r"^deliver\(\) takes a Delivery such as"):
        recording.deliver(handed)


@pytest.mark.parametrize("value", [10**5_000, Wild("x"), b"\xff"], ids=lambda one: type(one).__name__)
def test_a_wrong_type_is_named_whatever_it_is(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^(key|revision) must be"):
        Event(value, "1", b"2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="kvs must be a mapping"):
        Resync(1, value)
