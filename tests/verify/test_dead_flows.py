"""A flow that dies without a word: the client must find out by itself, within ``notice`` and not within ``settle``."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import verify
from pytest_netfault.faults import Blackhole, Cut, Forget, Reset, Sever
from pytest_netfault.schedules import Break, Compact, Schedule, Subscribe, WaitForEvents, Write
from pytest_netfault.schedules.dead_flows import has_dead_flow, touches_server

FORGOTTEN = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Forget()), Write("a")])


@pytest.fixture
def deaf(toy: Any) -> Any:
    """The right client, but for a time limit on its watch."""

    class Deaf(toy.RightStore):  # type: ignore[misc, name-defined]
        idle_seconds = None

    return Deaf


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_client_that_never_notices_a_dead_flow_is_found_by_default(
    deaf: Any, server: Any, seed: int
) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(deaf, server, seed=seed, max_examples=15, notice=1.5)
    lost = caught.value
    assert lost.schedule == FORGOTTEN
    assert lost.report is not None
    assert lost.report.wall_seconds < 60


@pytest.mark.slow
def test_the_right_client_notices_and_is_kept(toy: Any, server: Any) -> None:
    report = verify.no_update_lost(toy.RightStore, server, seed=3, max_examples=15)
    assert report.examples == 15
    assert report.dead_flows == 3
    assert report.unjudged_dead_flows == 0
    assert "3 dead flows noticed" in str(report)


@pytest.mark.slow
def test_without_notice_there_are_none(deaf: Any, server: Any) -> None:
    report = verify.no_update_lost(deaf, server, seed=3, max_examples=10, notice=None)
    assert (report.examples, report.dead_flows) == (10, 0)


@pytest.mark.slow
def test_the_message_says_what_died_how_long_was_waited_and_what_helps(deaf: Any, server: Any) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(deaf, server, FORGOTTEN, notice=1.0, seed=1)
    text = " ".join(str(caught.value).split())
    assert "The client never noticed a dead flow: connection #" in text
    assert "died without a word in step 4 and nothing arrived within 1 s (notice=1)" in text
    assert "heartbeat" in text
    assert "New connections work" in text
    assert "verify.replay(open_store, server, schedule, notice=1, seed=1)" in text
    assert len(str(caught.value).splitlines()) <= 24
    assert caught.value.trace["notice"] == 1.0


@pytest.mark.slow
def test_a_silent_cut_of_one_connection_that_lasts_has_the_same_patience(deaf: Any, server: Any) -> None:
    cut = Break(Cut(150, direction="down", connection=2, how="blackhole"), lasting=True)
    schedule = Schedule([cut, Subscribe(), *[Write("a")] * 5])
    with pytest.raises(verify.UpdateLost, match=r"connection #2\s+died without a word"):
        verify.replay(deaf, server, schedule, notice=1.0)


def test_settle_still_governs_what_is_healed(toy: Any, server: Any) -> None:
    """A long patience for dead flows must not lengthen the others, nor a long settle theirs."""

    class Gone(toy.RightStore):  # type: ignore[misc, name-defined]
        def goes_on(self, error: Exception | None) -> bool:
            return False

    began = time.monotonic()
    with pytest.raises(verify.UpdateLost):
        verify.replay(
            Gone,
            server,
            Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")]),
            settle=0.5,
        )
    assert time.monotonic() - began < 30  # notice is 60 s


@pytest.mark.slow
def test_a_client_that_notices_late_but_in_time_is_kept(toy: Any, server: Any) -> None:
    class Slow(toy.RightStore):  # type: ignore[misc, name-defined]
        idle_seconds = 2.0

    report = verify.replay(Slow, server, FORGOTTEN, settle=0.5, notice=30)
    assert report.dead_flows == 1


@pytest.mark.slow
def test_a_client_that_notices_and_comes_back_at_a_later_place_is_found(toy: Any, server: Any) -> None:
    """The last writes of the end must go on for as long as it takes to notice."""

    class FromNow(toy.RightStore):  # type: ignore[misc, name-defined]
        idle_seconds = 3.5  # behind the last writes of an ordinary end
        began = False

        def resume_at(self) -> int | None:
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = 0
            super().on_events(revision, changes)

    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(FromNow, server, FORGOTTEN, notice=60)
    assert "never noticed" not in str(caught.value)
    assert "reliable" in caught.value.broken


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "drawn"),
    [
        ([Sever], 0),
        ([Sever, Blackhole], 0),
        ([Sever, Cut], 0),
        ([Sever, Cut(5, how="blackhole")], 0),  # of each connection: the new ones do not work either
        ([Sever, Forget], 3),
        ([Sever, Forget()], 3),
        ([Sever, Cut(5, connection=2, how="blackhole")], 3),
    ],
    ids=str,
)
def test_named_faults_bring_dead_flows_only_if_they_name_one(
    toy: Any, server: Any, faults: Any, drawn: int
) -> None:
    report = verify.no_update_lost(toy.RightStore, server, seed=1, max_examples=4, faults=faults)
    assert report.examples == 4
    assert report.dead_flows == drawn


@pytest.mark.slow
def test_who_names_nothing_else_gets_examples_of_that_kind(toy: Any, server: Any) -> None:
    # Of every connection: Forget as a class is also drawn for one alone, which may have ended by then.
    report = verify.no_update_lost(toy.RightStore, server, seed=1, max_examples=12, faults=[Forget()])
    assert report.examples == report.dead_flows == 12
    assert report.cuts_that_hit_traffic >= 12


@pytest.mark.slow
def test_what_is_drawn_for_one_connection_counts_where_it_met_one(toy: Any, server: Any) -> None:
    report = verify.no_update_lost(toy.RightStore, server, seed=1, max_examples=12, faults=[Forget])
    assert report.examples == 12
    assert 0 < report.dead_flows == report.cuts_that_hit_traffic


@pytest.mark.slow
def test_a_flow_that_did_not_die_is_no_dead_flow(toy: Any, server: Any) -> None:
    dies, does_not = (
        Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Forget(connections=number)), Write("a")])
        for number in (None, 9)
    )
    assert verify.replay(toy.RightStore, server, dies).dead_flows == 1
    with pytest.raises(verify.ProvedNothing, match="no fault met traffic"):
        verify.replay(toy.RightStore, server, does_not)


@pytest.mark.slow
def test_what_touches_the_server_is_played_when_they_have_ended(
    toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction or a restart would be felt by every flow: a right client could be blamed for it."""
    under_way: set[int] = set()
    during: list[str] = []

    class Watched(toy.RightStore):  # type: ignore[misc, name-defined]
        def __init__(self, address: str) -> None:
            super().__init__(address)
            if threading.current_thread().name.startswith("netfault link writer"):
                under_way.add(id(self))

        def close(self) -> None:
            super().close()
            under_way.discard(id(self))

    real_compact, real_restart = server.compact, server.restart

    def touched(name: str, real: Any) -> Any:
        def touch() -> Any:
            during.append(f"{name} beside {len(under_way) - 1}")
            return real()

        return touch

    server.compact, server.restart = touched("compact", real_compact), touched("restart", real_restart)
    played: list[Schedule] = []
    monkeypatch.delattr(toy.ToyServer, "another")  # one server for all
    report = verify.no_update_lost(
        Watched,
        server,
        seed=2,
        max_examples=30,
        faults=[Sever, Reset, Forget()],
        progress=lambda progress: played.append(progress.schedule),
    )
    assert report.dead_flows == 3
    assert during
    assert set(during) <= {"compact beside 0", "restart beside 0"}
    touching = [place for place, one in enumerate(played) if touches_server(one)]
    dead = [place for place, one in enumerate(played) if has_dead_flow(one)]
    assert touching
    assert len({played[place] for place in dead}) == 3
    assert max(dead) < min(touching)


@pytest.mark.slow
def test_a_loss_among_the_examples_does_not_wait_for_the_dead_flows(deaf: Any, server: Any) -> None:
    class AlsoGone(deaf):  # type: ignore[misc]
        def goes_on(self, error: Exception | None) -> bool:
            return False

    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(AlsoGone, server, seed=1, max_examples=20, settle=0.5, notice=3600)
    assert not has_dead_flow(caught.value.schedule)


@pytest.mark.slow
def test_max_seconds_bounds_the_waiting_too_and_the_report_says_so(deaf: Any, server: Any) -> None:
    report = verify.no_update_lost(
        deaf, server, seed=1, max_examples=3, faults=[Blackhole, Forget], notice=3600, max_seconds=6
    )
    assert report.unjudged_dead_flows == 3
    assert report.dead_flows == 0
    assert "3 dead flows not waited for" in str(report)
    assert not [one for one in threading.enumerate() if one.name.startswith("netfault beside")]


@pytest.mark.slow
def test_progress_tells_that_they_are_pending(toy: Any, server: Any) -> None:
    seen: list[verify.Progress] = []
    verify.no_update_lost(toy.RightStore, server, seed=1, max_examples=5, progress=seen.append)
    assert any(one.pending for one in seen if one.stage == "playing")
    assert {one.of for one in seen if one.stage == "noticing"} == {3}
    assert [one.done for one in seen if one.stage == "noticing"][-1] == 3


@pytest.mark.slow
def test_a_printed_loss_fails_the_same_way_again(deaf: Any, server: Any, tmp_path: Path) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(
            deaf, server, seed=1, max_examples=4, faults=[Forget], notice=1.0, report_dir=tmp_path
        )
    with pytest.raises(verify.UpdateLost, match="never noticed"):
        verify.replay(deaf, server, caught.value.schedule, notice=1.0)
    (path,) = tmp_path.glob("*.json")
    assert '"notice": 1.0' in path.read_text()


@pytest.mark.slow
def test_a_sweep_finds_a_client_that_never_notices(deaf: Any, toy: Any, server: Any) -> None:
    scenario = Schedule([Subscribe(), Write("a"), WaitForEvents(), Write("b")])
    where: Any = {"direction": "down", "stride": 9, "how": ["blackhole"]}
    with pytest.raises(verify.UpdateLost, match="never noticed a dead flow"):
        verify.sweep(deaf, server, scenario, notice=1.5, **where)
    assert verify.sweep(deaf, server, scenario, notice=None, **where).dead_flows == 0
    report = verify.sweep(toy.RightStore, server, scenario, **where)
    assert report.dead_flows >= 2


@pytest.mark.slow
def test_a_sweep_that_touches_the_one_server_of_all_has_no_dead_flows(
    toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(toy.ToyServer, "another")
    scenario = Schedule([Subscribe(), Write("a"), WaitForEvents(), Compact(), Write("b")])
    report = verify.sweep(toy.RightStore, server, scenario, direction="down", stride=20, how=["blackhole"])
    assert report.dead_flows == 0


@pytest.mark.parametrize("notice", [0, -1, True, float("nan"), "a minute"])
def test_notice_must_be_a_time_or_none(toy: Any, server: Any, notice: Any) -> None:
    for prove in (verify.no_update_lost, verify.sweep):
        with pytest.raises((ValueError, TypeError), match="notice must be"):
            prove(toy.RightStore, server, notice=notice)  # type: ignore[operator]
    with pytest.raises((ValueError, TypeError), match="notice must be"):
        verify.replay(toy.RightStore, server, FORGOTTEN, notice=notice)
