"""What a run says and what ``netfault judge`` says of the file that was written about it are the same."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.checks.document import read_document
from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import Promise, Trace
from pytest_netfault.cli.judge import judge
from pytest_netfault.proof.contract import Run, Timeouts
from pytest_netfault.proof.files import document
from pytest_netfault.schedules import (
    Blackhole,
    Break,
    Compact,
    Reset,
    Schedule,
    Sever,
    Subscribe,
    Write,
    schedules,
)
from pytest_netfault.store import WriteRejected

PROMISES = get_args(Promise)
# How a right client may go on after an outage, where its promise allows more than to resume.
GOES_ON = {"latest-value": "snapshot", "latest-per-key": "snapshot", "comes-back": "now"}
PACE = Timeouts(settle=0.05, patience=0.02, impatience=0.01, last_writes=(0.01, 0.02))
SCHEDULES = schedules(faults=[Sever, Reset, Blackhole], abilities=["compact", "many"])


def server_of(world: Any, kind: str) -> Any:
    """With a log; without one; and without one, but its state can be read."""
    if kind == "log":
        return None
    more = {"read": world.state} if kind == "state" else {}
    return SimpleNamespace(address="direct", compact=world.compact, **more)


def forgets(client: Any, changes: Any) -> None:
    before = list(client.world.entries)
    client.world.commit(changes)
    client.world.entries = before


def twice(client: Any, changes: Any) -> None:
    client.world.commit(changes)
    client.world.commit(changes)


def applies_and_rejects(client: Any, changes: Any) -> None:
    client.world.commit(changes)
    raise WriteRejected("no")


def applies_in_silence(client: Any, changes: Any) -> None:
    client.world.commit(changes)
    raise TimeoutError("no answer")


WRITES = {"forgets": forgets, "twice": twice, "rejects": applies_and_rejects, "silent": applies_in_silence}


def judged_file(run: Run) -> tuple[str, tuple[str, ...]]:
    """What judge says of the file that a proof would write."""
    text = json.dumps(document(run, seed=1, settle=0.05), ensure_ascii=False)
    (case,) = read_document(text)
    assert isinstance(case.subject, Trace)
    verdict = judge_trace(case.subject)
    return verdict.verdict, verdict.broken


def of_run(run: Run) -> tuple[str, tuple[str, ...]]:
    return "broken" if run.broken else "kept" if run.conclusive else "inconclusive", run.broken


@pytest.mark.slow
def test_a_run_and_its_file_have_the_same_verdict(make_world: Any) -> None:
    seen: Counter[Any] = Counter()

    def compare(schedule: Schedule, promise: Any, kind: str, after_outage: str, **flaws: Any) -> None:
        world = make_world()
        world.server = server_of(world, kind)
        run = world.play(schedule, world.opener(after_outage, **flaws), timeouts=PACE, promise=promise)
        assert judged_file(run) == of_run(run)
        seen[promise, kind == "log", bool(run.broken)] += 1

    @settings(deadline=None, max_examples=200)
    @given(
        schedule=SCHEDULES,
        promise=st.sampled_from(PROMISES),
        kind=st.sampled_from(["log", "nothing", "state"]),
        after_outage=st.sampled_from(["resume", "snapshot", "now", "never"]),
        write=st.sampled_from([None, None, None, *WRITES]),
        flags=st.sets(st.sampled_from(["blind", "first", "bookmarks"])),
    )
    def prove(
        schedule: Schedule, promise: Any, kind: str, after_outage: str, write: str | None, flags: set[str]
    ) -> None:
        compare(
            schedule, promise, kind, after_outage, **dict.fromkeys(flags, True), write=WRITES.get(write or "")
        )

    # Nothing is left to chance of what must occur: a client that resumes, and one that never comes back.
    lost = Schedule([Subscribe(), Write("a"), Break(Sever()), Write("a")])
    for promise, kind, after_outage in itertools.product(PROMISES, ["log", "nothing"], ["resume", "never"]):
        compare(lost, promise, kind, after_outage)
    prove()
    assert len(seen) == 16, seen  # each promise, with a log and without one, kept and broken


@pytest.mark.slow
def test_a_right_client_is_kept_whatever_it_shows(make_world: Any) -> None:
    @settings(deadline=None, max_examples=150)
    @given(
        schedule=SCHEDULES,
        promise=st.sampled_from(PROMISES),
        kind=st.sampled_from(["log", "nothing", "state"]),
        resumes=st.booleans(),
        silent=st.booleans(),
        flags=st.sets(st.sampled_from(["blind", "first", "bookmarks"])),
    )
    def prove(
        schedule: Schedule, promise: Any, kind: str, resumes: bool, silent: bool, flags: set[str]
    ) -> None:
        world = make_world()
        world.server = server_of(world, kind)
        after_outage = "resume" if resumes else GOES_ON.get(promise, "resume")
        flaws = {**dict.fromkeys(flags, True), **({"write": applies_in_silence} if silent else {})}
        run = world.play(schedule, world.opener(after_outage, **flaws), timeouts=PACE, promise=promise)
        assert run.broken == (), (run.verdict.evidence, run.write_breakages)
        assert judged_file(run)[0] == "kept"

    prove()


FIRST = Schedule([Subscribe(), Write("a"), Compact(), Write("a")])


@pytest.mark.parametrize("promise", PROMISES)
def test_the_first_snapshot_of_a_client_without_revisions_accuses_nobody(world: Any, promise: Any) -> None:
    run = world.play(FIRST, world.opener(first=True, blind=True), promise=promise)
    assert run.broken == ()


def test_a_value_that_was_there_before_the_subscription_is_not_taken_for_it(world: Any) -> None:
    again = Schedule([Write("a"), Subscribe(), Write("a", repeat=True), Write("b")])
    run = world.play(again, world.opener(blind=True))
    assert run.broken == ()


def judge_file(run: Run, path: Path) -> tuple[int, str]:
    path.write_text(json.dumps(document(run, seed=1)), encoding="utf-8")
    out = io.StringIO()
    return judge([path], out=out), out.getvalue().replace(str(path), "FILE")


def test_a_lost_write_is_lost_in_the_file_too(world: Any, tmp_path: Path) -> None:
    schedule = Schedule([Subscribe(), Write("a", via="link")])
    run = world.play(schedule, world.opener(write=lambda *_: None))
    assert run.broken == ("writes.lost",)
    status, words = judge_file(run, tmp_path / "run.json")
    assert status == 1
    assert words.splitlines() == [
        "FILE: broken: writes.lost",
        "    writes.lost: put 'r17.a' = 'v2' was acknowledged once, and the log has it never",
    ]


def test_a_store_without_a_log_is_kept_in_the_file_too(world: Any, tmp_path: Path) -> None:
    """Two writes under way together arrive the other way round, and one of them twice: nobody knows better."""
    world.server = server_of(world, "nothing")

    def restless(client: Any, changes: Any) -> None:
        client.world.commit(changes)
        client.next = 1
        client.catch_up()

    run = world.play(
        Schedule([Subscribe(), Write("a"), Write("b", via="link")]), world.opener(write=restless)
    )
    assert sum(event.key == "r17.a" for item in run.trace.stream for event in item.events) == 2
    assert run.broken == ()
    assert judge_file(run, tmp_path / "run.json") == (0, "FILE: kept\n")


def test_a_run_without_a_subscription_proves_nothing_in_the_file_either(world: Any, tmp_path: Path) -> None:
    def subscribe(*_: Any) -> None:
        raise RuntimeError("never")

    run = world.play(FIRST, world.opener(subscribe=subscribe))
    assert not run.conclusive
    assert judge_file(run, tmp_path / "run.json") == (3, "FILE: inconclusive: there was no subscription\n")
