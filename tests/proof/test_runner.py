"""The runner against a store in memory. Each rule of the runner has a test; what it judges is judged elsewhere."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings

from pytest_netfault.faults import UnsupportedFault
from pytest_netfault.proof import clients, runner
from pytest_netfault.proof.contract import Run, Timeouts
from pytest_netfault.schedules import (
    Blackhole,
    Break,
    Compact,
    Cut,
    Delete,
    Heal,
    Pause,
    Reset,
    Restart,
    Resume,
    Schedule,
    Sever,
    Subscribe,
    WaitForBytes,
    WaitForConnection,
    WaitForEvents,
    Write,
    WriteMany,
    schedules,
)
from pytest_netfault.store import Delivery, Event, Resync, WriteRejected

LOSS = Schedule([Subscribe(), Break(Sever()), Write("a")])


def remarks(run: Run, place: int | None) -> list[str]:
    return [remark.text for remark in run.remarks if remark.place == place]


def outcomes(run: Run) -> list[str]:
    return [write.outcome for write in run.writes if write.place is not None]


def test_a_subscriber_that_resumes_keeps_its_promise(world: Any) -> None:
    run = world.play(LOSS)
    assert run.broken == ()
    assert run.conclusive
    assert run.acknowledged == 2  # the step, and the last write
    assert run.faults_that_met_traffic == 1


def test_a_subscriber_that_comes_back_at_now_is_caught_at_once(world: Any) -> None:
    run = world.play(LOSS, world.opener("now"), timeouts=Timeouts(settle=60, last_writes=(0.01,)))
    assert run.broken == ("reliable",)
    assert run.verdict.lost[0].key == "r17.a"
    assert not run.trace.quiet_at_end
    assert run.ended - run.began < 30


def test_a_subscriber_that_never_comes_back_is_waited_for_until_settle(world: Any) -> None:
    run = world.play(LOSS, world.opener("never"))
    assert "complete" in run.broken
    assert run.trace.quiet_at_end


def test_a_client_that_got_no_processor_is_not_late(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not delivered within ``settle`` comes once it gets one."""

    class Starved:
        def take(self) -> float:
            for client in world.subscribers:
                client.after_outage = "resume"
                client.reconnect()
            return 60.0

    monkeypatch.setattr(runner, "Starved", Starved)
    run = world.play(LOSS, world.opener("never"))
    assert run.broken == ()
    assert run.conclusive


@pytest.mark.parametrize(
    ("fails", "slow", "opened"), [(2, True, 3), (3, True, 3), (1, False, 1), (0, False, 1)]
)
def test_a_client_that_is_slow_to_open_is_opened_again(
    world: Any, monkeypatch: pytest.MonkeyPatch, fails: int, slow: bool, opened: int
) -> None:
    """Before anything is broken: a busy machine lets time limits of connecting pass. What fails at once is wrong."""
    monkeypatch.setattr(clients, "_SLOW_SECONDS", 0.0 if slow else 600.0)
    tried: list[str] = []

    def open_store(address: str) -> Any:
        if address != "link":
            return world.opener()(address)
        tried.append(address)
        if len(tried) <= fails:
            raise ConnectionError("connection attempt timed out")
        return world.opener()(address)

    if fails >= opened:
        with pytest.raises(ConnectionError, match="timed out"):
            world.play(LOSS, open_store)
    else:
        assert world.play(LOSS, open_store).broken == ()
    assert len(tried) == opened


def test_a_run_ends_at_once_when_everything_arrived(world: Any) -> None:
    run = world.play(
        Schedule([Subscribe(), Write("a"), Write("b")]), timeouts=Timeouts(settle=600, last_writes=(300,))
    )
    assert run.broken == ()
    assert [write.place for write in run.writes] == [2, 3, None]


def test_an_outage_after_the_last_write_is_still_noticed(world: Any) -> None:
    run = world.play(
        Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever())]), world.opener("never")
    )
    assert "complete" in run.broken
    assert run.writes[-1].changes[0][0] == "r17.last"


@pytest.mark.slow
def test_the_right_client_keeps_its_promise_whatever_happens(make_world: Any) -> None:
    @settings(deadline=None, max_examples=150)
    @given(
        schedule=schedules(
            faults=[Sever, Reset, Blackhole], abilities=["compact", "restart", "pause", "many"]
        )
    )
    def prove(schedule: Schedule) -> None:
        run = make_world().play(schedule)
        assert run.broken == (), run.verdict.evidence
        assert run.conclusive

    prove()


def test_faults_are_recorded_with_their_places(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Break(Blackhole()), Heal(), Break(Reset())]))
    assert [(one.place, one.fault, one.met_traffic) for one in run.faults] == [
        (2, Blackhole(), True),
        (4, Reset(), True),
    ]


def test_a_fault_that_this_machine_cannot_do_is_skipped_and_said(world: Any) -> None:
    def refuse(fault: object) -> None:
        raise UnsupportedFault(f"no {fault}")

    world.link.apply = refuse
    run = world.play(LOSS)
    assert remarks(run, 2) == ["skipped: no Sever()"]
    assert run.faults == ()


# -- writes ---------------------------------------------------------------------------------------------


def test_values_are_unique_but_for_those_that_repeat(world: Any) -> None:
    run = world.play(
        Schedule([Subscribe(), Write("a"), Write("a"), Write("a", repeat=True), Write("b", repeat=True)])
    )
    assert [write.changes[0] for write in run.writes[:4]] == [
        ("r17.a", "v2"),
        ("r17.a", "v3"),
        ("r17.a", "v3"),
        ("r17.b", "v5"),
    ]


def test_a_neighbouring_name_space_is_written_and_not_owed(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Write("a", beside=True)]))
    assert run.writes[0].changes == (("r17x.a", "v2"),)
    assert run.broken == ()


def test_several_changes_go_as_one_transaction_where_the_client_can(world: Any) -> None:
    step = WriteMany(("a", "b"), deletes=("c",))
    run = world.play(Schedule([Write("c"), Subscribe(), step]))
    assert run.writes[1].changes == (("r17.a", "v3"), ("r17.b", "v3"), ("r17.c", None))
    assert len(run.log[1].events) == 3


def test_several_changes_are_written_one_by_one_where_it_cannot(world: Any) -> None:
    class Plain:
        """Hides put_many."""

        def __init__(self, inner: Any) -> None:
            self.put, self.delete = inner.put, inner.delete
            self.subscribe, self.close = inner.subscribe, inner.close

    open_store = world.opener()
    run = world.play(
        Schedule([Subscribe(), WriteMany(("a", "b"))]), lambda address: Plain(open_store(address))
    )
    assert [write.changes for write in run.writes[:2]] == [(("r17.a", "v2"),), (("r17.b", "v2"),)]


def test_an_exception_out_of_a_write_means_unknown(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Break(Sever()), Write("a", via="link"), Delete("a", via="link")]))
    assert outcomes(run) == ["info", "info"]
    assert run.writes[0].error == "ConnectionError: nobody there"


@pytest.mark.parametrize("how", ["raised", "named"])
def test_a_rejected_write_certainly_failed(world: Any, how: str) -> None:
    error = WriteRejected if how == "raised" else PermissionError

    def write(*_: object) -> None:
        raise error("no")

    open_store = world.opener(write=write)
    if how == "named":
        open_store.rejected = PermissionError
    run = world.play(Schedule([Subscribe(), Write("a", via="link")]), open_store)
    assert outcomes(run) == ["fail"]
    assert run.broken == ()


def test_a_rejected_write_that_is_in_the_log_is_a_lie(world: Any) -> None:
    def write(_: Any, changes: Any) -> None:
        world.commit(changes)
        raise WriteRejected("timed out")

    run = world.play(Schedule([Subscribe(), Write("a", via="link")]), world.opener(write=write))
    assert run.broken == ("writes.phantom",)


def test_an_acknowledged_write_that_is_not_in_the_log_is_a_lie(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Write("a", via="link")]), world.opener(write=lambda *_: None))
    assert run.broken == ("writes.lost",)


def test_a_write_that_is_sent_twice_is_seen(world: Any) -> None:
    def write(_: Any, changes: Any) -> None:
        world.commit(changes)
        world.commit(changes)

    run = world.play(Schedule([Subscribe(), Write("a", via="link")]), world.opener(write=write))
    assert run.broken == ("writes.duplicate",)


def test_a_write_that_hangs_hangs_nothing_and_is_unknown(world: Any) -> None:
    let_go = threading.Event()
    open_store = world.opener(write=lambda *_: let_go.wait(60), close=lambda _: let_go.set())
    pace = Timeouts(settle=0.3, impatience=0.02)
    run = world.play(
        Schedule(
            [Subscribe(), Break(Blackhole()), Write("a", via="link"), Write("b", via="link"), Write("c")]
        ),
        open_store,
        timeouts=pace,
    )
    assert outcomes(run) == ["info", "info", "ok"]
    assert run.writes[0].ended is None
    assert run.writes[1].begun is None  # it waited behind the first and was never made
    assert run.broken == ()


# -- moments --------------------------------------------------------------------------------------------


def test_moments_that_come_are_not_remarked(world: Any) -> None:
    run = world.play(
        Schedule(
            [
                Subscribe(),
                Write("a"),
                WaitForEvents(),
                WaitForEvents(1),
                Break(Reset()),
                Heal(),
                Write("b"),
                WaitForEvents(2),
            ]
        )
    )
    assert [remark.text for remark in run.remarks] == ["from revision 1"]


@pytest.mark.parametrize(
    "step", [WaitForEvents(), WaitForEvents(1), WaitForBytes(10), WaitForBytes(10, "up"), WaitForConnection()]
)
def test_a_moment_that_cannot_come_is_given_up(world: Any, step: Any) -> None:
    run = world.play(Schedule([Subscribe(), Break(Blackhole()), Write("a"), step]))
    assert remarks(run, 4) == ["did not happen, went on"]
    assert run.broken == ()


def test_waiting_for_more_changes_than_were_made_takes_no_time(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Write("a"), WaitForEvents(2)]), timeouts=Timeouts(patience=600))
    assert remarks(run, 3) == ["only 1 were committed, went on"]


def test_connected_is_about_what_came_after_the_break(world: Any) -> None:
    run = world.play(
        Schedule(
            [
                Subscribe(),
                Break(Sever()),
                Heal(),
                WaitForConnection(),
                Break(Blackhole()),
                WaitForConnection(),
            ]
        )
    )
    assert remarks(run, 4) == []
    assert remarks(run, 6) == ["did not happen, went on"]


def test_a_lasting_fault_is_not_healed(world: Any) -> None:
    healed: list[Any] = []
    apply = world.link.apply

    def watched(fault: Any) -> Any:
        active = apply(fault)
        active.heal = lambda: healed.append(fault)
        return active

    world.link.apply = watched
    world.play(Schedule([Subscribe(), Break(Cut(5), lasting=True), Break(Cut(7, how="blackhole"))]))
    assert healed == [Cut(7, how="blackhole")]


# -- the server -----------------------------------------------------------------------------------------


def test_compaction_while_the_subscriber_is_away_is_recorded(world: Any) -> None:
    run = world.play(
        Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Compact(), Heal()])
    )
    assert [(one.revision, one.after_item) for one in run.trace.compactions] == [(4, 1)]
    assert remarks(run, 6) == ["up to revision 4"]
    assert run.broken == ()  # it was handed a resync, and that is excused


def test_a_server_that_returns_nothing_from_compact_is_asked_for_its_revision(world: Any) -> None:
    compact = world.compact
    world.compact = lambda: compact() and None
    run = world.play(Schedule([Subscribe(), Write("a"), Compact()]))
    assert [one.revision for one in run.trace.compactions] == [3]


def test_what_the_server_cannot_do_is_skipped_and_said(world: Any) -> None:
    world.pause = None
    run = world.play(Schedule([Subscribe(), Pause(), Write("a"), Resume()]))
    assert remarks(run, 2) == ["skipped: the server has no pause()"]


def test_a_restart_renews_the_direct_client(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Restart(), Write("a")]))
    assert world.restarts == 1
    assert [client.address for client in world.opened] == ["direct", "link", "direct"]
    assert run.server_troubles == run.faults_that_met_traffic == 1


def test_a_paused_server_is_resumed_at_the_end(world: Any) -> None:
    run = world.play(Schedule([Subscribe(), Pause(), Write("a"), WaitForEvents(), Compact()]))
    assert not world.paused
    assert remarks(run, 4) == ["did not happen, went on"]
    assert remarks(run, 5) == ["skipped: the server is paused"]
    assert run.conclusive


# -- the subscription -----------------------------------------------------------------------------------


def test_what_was_there_before_is_not_owed(world: Any) -> None:
    run = world.play(Schedule([Write("a"), Write("b"), Subscribe(), Write("c")]))
    assert run.trace.start_revision_exclusive == 3
    assert run.broken == ()


def test_a_subscription_that_fails_in_an_outage_is_tried_again_when_it_is_over(world: Any) -> None:
    run = world.play(Schedule([Break(Sever()), Subscribe(), Write("a"), Heal(), Write("b")]))
    assert remarks(run, 2) == ["failed: ConnectionError: nobody there"]
    assert run.subscribed
    assert run.conclusive


def test_a_subscription_that_always_fails_proves_nothing(world: Any) -> None:
    def subscribe(*_: object) -> None:
        raise RuntimeError("never")

    run = world.play(LOSS, world.opener(subscribe=subscribe))
    assert not run.subscribed
    assert not run.conclusive
    assert run.broken == ()


def test_a_client_without_revisions_is_judged_by_what_it_says(make_world: Any) -> None:
    kept, lost = make_world(), make_world()
    assert kept.play(LOSS, kept.opener(blind=True)).broken == ()
    assert "complete" in lost.play(LOSS, lost.opener("never", blind=True)).broken
    caught = make_world()
    assert caught.play(LOSS, caught.opener("now", blind=True)).broken == ("reliable",)


def test_an_error_ends_what_is_owed(world: Any) -> None:
    def subscribe(_: Any, __: str, deliver: Any) -> None:
        deliver(Delivery(error="gone"))

    run = world.play(LOSS, world.opener("never", subscribe=subscribe))
    assert run.broken == ()
    assert run.gave_up


def test_what_is_not_a_delivery_is_the_mistake_of_the_adapter(world: Any) -> None:
    def subscribe(_: Any, __: str, deliver: Any) -> None:
        try:
            deliver(Event("r17.a", "1"))
        except TypeError:
            pass  # as many clients would

    with pytest.raises(TypeError, match=r"deliver\(\) takes a Delivery such as .*, not Event"):
        world.play(LOSS, world.opener(subscribe=subscribe))


@pytest.mark.slow
def test_a_subscription_that_does_not_return_is_not_blamed_for_where_it_began(world: Any) -> None:
    let_go = threading.Event()

    def subscribe(_: Any, __: str, deliver: Any) -> None:
        deliver(Delivery(resync=Resync(world.revision(), {})))
        world.commit({"somebody.else": "1"})  # the store goes on meanwhile
        let_go.wait(60)

    run = world.play(Schedule([Subscribe(), Break(Sever())]), world.opener(subscribe=subscribe))
    let_go.set()
    assert run.broken == (), run.verdict.evidence
    assert not run.subscribed
    assert not run.conclusive


# -- ownership ------------------------------------------------------------------------------------------


def test_the_subject_is_closed_and_no_thread_is_left(world: Any) -> None:
    before = set(threading.enumerate())
    world.play(LOSS)
    assert all(client.closed for client in world.opened)
    assert set(threading.enumerate()) <= before


def test_a_client_that_does_not_close_is_told_of(world: Any) -> None:
    let_go = threading.Event()
    run = world.play(LOSS, world.opener(close=lambda _: let_go.wait(60)))
    let_go.set()
    assert not run.closed


def test_the_subject_is_closed_when_the_server_fails_in_the_middle(world: Any) -> None:
    def fail() -> None:
        raise OSError("no more compactions")

    world.compact = fail
    with pytest.raises(OSError, match="no more compactions"):
        world.play(Schedule([Subscribe(), Pause(), Resume(), Compact()]))
    assert all(client.closed for client in world.opened)


def test_ctrl_c_closes_the_subject(world: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.restart = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.play(Schedule([Subscribe(), Restart()]))
    assert all(client.closed for client in world.opened)


def test_what_open_store_raises_is_raised(world: Any) -> None:
    def open_store(address: str) -> Any:
        raise LookupError(address)

    with pytest.raises(LookupError, match="direct"):
        world.play(LOSS, open_store)


def test_a_store_without_the_four_methods_is_refused(world: Any) -> None:
    with pytest.raises(TypeError, match="has no delete and no subscribe and no close"):
        world.play(LOSS, lambda _: type("Half", (), {"put": None})())


def test_a_late_delivery_disturbs_nobody(world: Any) -> None:
    run = world.play(LOSS)
    world.opened[1].deliver(Delivery(bookmark=1))
    assert len(run.trace.stream) == len(run.delivered_at) == 2
