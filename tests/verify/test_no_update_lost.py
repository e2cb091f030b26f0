"""`verify.no_update_lost` and `verify.replay` over real links, on the small store of `support.mutants.toy`."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault import verify
from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import Trace
from pytest_netfault.faults import Corrupt, Cut, Sever
from pytest_netfault.proof import losses
from pytest_netfault.proof.arguments import pick_seed
from pytest_netfault.proof.bench import namespaces
from pytest_netfault.schedules import Break, Heal, Schedule, Subscribe, WaitForEvents, Write

# The watch is surely there when the link breaks: the subscriber has seen something through it.
LOSS = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a")])


@pytest.fixture
def from_now(toy: Any) -> Any:
    """A client that begins where it should, and comes back at the newest revision."""

    class FromNow(toy.RightStore):  # type: ignore[misc, name-defined]
        began = False

        def resume_at(self) -> int | None:
            self.began, first = True, not self.began
            return self.next if first else None

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = 0
            super().on_events(revision, changes)

    return FromNow


@pytest.mark.slow
def test_a_right_client_is_proved(toy: Any, server: Any) -> None:
    report = verify.no_update_lost(toy.RightStore, server, max_examples=15, seed=3)
    assert report.examples == 15
    assert report.inconclusive == report.gave_up == report.not_closed == 0
    assert report.cuts_that_hit_traffic >= 10
    assert report.writes_acknowledged >= 30
    assert report.wall_seconds > 0
    assert report.seed == 3
    assert "nothing lost in 15 examples" in str(report)


@pytest.mark.slow
def test_a_loss_is_found_and_made_small_and_told(from_now: Any, server: Any, tmp_path: Path) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(from_now, server, seed=1, max_seconds=60, report_dir=tmp_path / "reports")
    lost = caught.value
    assert isinstance(lost, AssertionError)
    assert "reliable" in lost.broken
    assert len(lost.schedule) <= 4
    story = str(lost).splitlines()
    assert len(story) <= 24
    assert all(len(line) <= 100 for line in story if not line.startswith("Trace: "))
    text = str(lost)
    assert "NEVER ARRIVED" in text
    assert "Break(" in text
    assert f"schedule = {lost.schedule}" in text
    assert "verify.replay(open_store, server, schedule, seed=1)" in text
    assert "seed" in text
    assert lost.report is not None
    assert lost.report.examples >= 1


def test_the_story_says_what_was_written_where_the_cut_was_and_what_never_arrived(
    from_now: Any, server: Any
) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(from_now, server, LOSS)
    rows = str(caught.value).splitlines()
    assert re.match(
        r"An update was lost: revision \d+ \(put 'a' = 'v5'\)( and \d more)? never reached", rows[0]
    )
    assert re.match(r" +1  Subscribe\(\) +from revision \d+$", rows[1])
    assert re.match(r" +2  Write\('a'\) +revision \d+, arrived$", rows[2])
    assert re.match(r" +4  Break\(Sever\(\)\) +cut connection #\d at \d+ B up, \d+ B down$", rows[4])
    assert re.match(r" +5  Write\('a'\) +revision \d+, NEVER ARRIVED$", rows[5])
    assert any(row.startswith("Broken: reliable: revision") for row in rows)


def test_the_trace_of_a_loss_is_written_and_judged_the_same(
    from_now: Any, server: Any, tmp_path: Path
) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(from_now, server, LOSS, report_dir=tmp_path)
    (path,) = tmp_path.glob("*.json")
    assert f"Trace: {path}" in str(caught.value).replace("\n", "")
    document = json.loads(path.read_text())
    assert document == json.loads(json.dumps(caught.value.trace))
    assert judge_trace(Trace.from_json(document)).broken == caught.value.broken
    assert Schedule.from_json(document["schedule"]) == LOSS
    assert [one["outcome"] for one in document["acknowledgements"]][:1] == ["ok"]
    assert "*" not in path.with_suffix(".py").read_text()  # linters refuse star imports
    names: dict[str, Any] = {}
    exec(path.with_suffix(".py").read_text(), names)
    assert names["SCHEDULE"] == LOSS
    assert {one.suffix for one in tmp_path.iterdir()} == {".json", ".py", ".html"}  # and no half-written file
    drawn = caught.value.timeline
    assert drawn is not None
    assert shlex.split(drawn.command)[:3] == ["netfault", "replay", str(path)]
    assert drawn.paste.splitlines()[-1].startswith("verify.replay(open_store, server, schedule")
    facts = dict(drawn.facts)
    assert facts["test"].endswith("::test_the_trace_of_a_loss_is_written_and_judged_the_same")
    assert facts["called at"].endswith("verify.replay(from_now, server, LOSS, report_dir=tmp_path)")
    assert {"store", "server", "started", "versions", "seed"} <= facts.keys()


@pytest.mark.slow
def test_the_printed_schedule_fails_again_when_pasted(from_now: Any, server: Any) -> None:
    with pytest.raises(verify.UpdateLost) as caught:
        verify.no_update_lost(from_now, server, seed=2, max_seconds=60)
    lines = str(caught.value).splitlines()
    start = lines.index("To play it again:") + 1
    code = "\n".join(
        line[4:] for line in itertools.takewhile(lambda one: one.startswith("    "), lines[start:])
    )
    assert "*" not in code
    with pytest.raises(verify.UpdateLost) as again:
        exec(code, {"open_store": from_now, "server": server})
    assert again.value.schedule == caught.value.schedule


def test_replay_keeps_quiet_when_nothing_is_lost(toy: Any, server: Any) -> None:
    report = verify.replay(toy.RightStore, server, LOSS, seed=5)
    assert (report.examples, report.seed) == (1, 5)


def test_latest_value_lets_values_be_skipped(toy: Any, server: Any) -> None:
    class Skipping(toy.RightStore):  # type: ignore[misc, name-defined]
        """Comes back with a snapshot: what happened in between is skipped, and the last value is right."""

        def watch(self) -> None:
            self.take_snapshot()
            super().watch()

    schedule = Schedule(
        [Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Write("a"), Heal()]
    )
    verify.replay(Skipping, server, schedule, promise="latest-value")
    with pytest.raises(verify.UpdateLost):
        verify.replay(Skipping, server, schedule)


@pytest.mark.slow
def test_the_same_seed_plays_the_same_schedules_with_the_same_verdicts_in_another_process(
    tmp_path: Path,
) -> None:
    script = tmp_path / "prove.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from support.mutants import subscribers, toy\n"
        "from pytest_netfault import verify\n"
        "class Enough(Exception): pass\n"
        "def tell(p):\n"
        "    if p.stage == 'noticing': return  # played beside the examples, in no order\n"
        "    print(p.failed, p.schedule)\n"
        "    if p.failed: raise Enough\n"
        "for kind in (toy.RightStore, subscribers.MUTANTS['IgnoresDeletes']):\n"
        "    with toy.ToyServer() as server:\n"
        "        try: verify.no_update_lost(kind, server, seed=3, max_examples=6, progress=tell)\n"
        "        except Enough: pass\n"
    )

    def told() -> list[str]:
        done = subprocess.run(
            [sys.executable, str(script), str(Path(__file__).parents[1])],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    here = told()
    assert told() == here
    verdicts = [line.split()[0] for line in here]
    assert verdicts[:6] == ["False"] * 6  # the right client, and then the one with a mistake
    assert verdicts[-1] == "True"


@pytest.mark.slow
def test_a_loss_that_does_not_repeat_is_kept_and_counted(
    toy: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "_UNSURE_SECONDS", 1.0)  # nothing smaller will be found

    class Once(toy.RightStore):  # type: ignore[misc, name-defined]
        """Loses one event in its life, and never again."""

        left = 1

        def on_events(self, revision: int, changes: Any) -> None:
            if Once.left and revision >= self.next:
                Once.left -= 1
                self.next = revision + 1
                return
            super().on_events(revision, changes)

    with pytest.raises(verify.UpdateLost, match="failed in 1 of 10 plays") as caught:
        verify.no_update_lost(
            Once,
            server,
            seed=1,
            max_examples=20,
            max_seconds=120,
            notice=None,  # what happens once in the life of a process must happen in the first example
            lanes=1,
            report_dir=tmp_path,
        )
    assert caught.value.repeated == (1, 10)
    # The trace is that of the one play that lost, although others came after it.
    (path,) = tmp_path.glob("*.json")
    assert judge_trace(Trace.from_json(json.loads(path.read_text()))).broken == caught.value.broken != ()


@pytest.mark.slow
def test_max_seconds_bounds_the_search(toy: Any, server: Any) -> None:
    report = verify.no_update_lost(toy.RightStore, server, seed=1, max_examples=100_000, max_seconds=1.0)
    assert 0 < report.examples < 1000


@pytest.mark.slow
def test_no_thread_and_no_port_is_left(toy: Any, server: Any) -> None:
    before = set(threading.enumerate())
    verify.no_update_lost(toy.RightStore, server, seed=1, max_examples=3)
    alive = [
        one
        for one in set(threading.enumerate()) - before
        if one.name != "toy server" and "_serve" not in one.name
    ]
    assert alive == []


def test_a_client_that_does_not_close_is_warned_about(toy: Any, server: Any) -> None:
    let_go = threading.Event()

    class Stuck(toy.RightStore):  # type: ignore[misc, name-defined]
        def close(self) -> None:
            super().close()
            if self.prefix:
                let_go.wait(60)

    with pytest.warns(
        verify.StoreNotClosed, match=r"close\(\) of the client did not return within 0\.2 s in 1 of 1"
    ):
        verify.replay(Stuck, server, LOSS, settle=0.2)
    let_go.set()


@pytest.mark.slow
def test_a_store_without_a_log_is_judged_by_what_was_acknowledged(
    toy: Any, server: Any, from_now: Any
) -> None:
    nothing_known = SimpleNamespace(address=server.address)
    report = verify.no_update_lost(toy.RightStore, nothing_known, seed=1, max_examples=5, faults=[Sever])
    assert report.writes_acknowledged > 5
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(from_now, nothing_known, LOSS, settle=0.5)
    assert caught.value.broken == ("complete",)
    # It has no revisions, and no message makes one up: its writes are counted.
    assert caught.value.timeline is not None
    page = str(caught.value.timeline)
    assert "revision" not in str(caught.value).replace("Broken: ", "")
    assert "An update was lost: write 2 (put 'a' = 'v5') never reached the subscriber." in str(caught.value)
    assert "Broken: complete: write 2 (put 'a') had not arrived" in str(caught.value)
    assert "after 1 write" in str(caught.value).splitlines()[1] or "after 0 writes" in str(caught.value)
    assert "label='write 2'" in page
    assert "write 2 never arrived" in page


@pytest.mark.slow
@pytest.mark.parametrize("promise", ["every-event", "latest-value"])
def test_a_store_without_a_log_is_judged_by_what_it_holds(
    toy: Any, server: Any, from_now: Any, promise: Any
) -> None:
    def read(prefix: str) -> dict[str, str]:
        return dict(toy.RightStore(server.address).request({"op": "get", "prefix": prefix})["kvs"])

    readable = SimpleNamespace(address=server.address, read=read)
    report = verify.no_update_lost(toy.RightStore, readable, seed=2, max_examples=20, promise=promise)
    assert report.inconclusive == 0
    with pytest.raises(verify.UpdateLost) as caught:
        verify.replay(from_now, readable, LOSS, settle=0.5, promise=promise)
    assert caught.value.broken == ("complete",)


# -- runs that prove nothing ------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_an_acknowledged_write_nothing_is_proved(toy: Any, server: Any) -> None:
    class Mute(toy.RightStore):  # type: ignore[misc, name-defined]
        def put_many(self, changes: Any) -> None:
            raise OSError("no")

    with pytest.raises(verify.ProvedNothing, match="no write was acknowledged in 2 examples") as caught:
        verify.no_update_lost(Mute, server, seed=1, max_examples=2)
    assert not isinstance(caught.value, verify.UpdateLost)
    assert caught.value.report.examples == 2


@pytest.mark.slow
def test_a_client_that_ignores_its_address_proves_nothing(toy: Any, server: Any) -> None:
    with pytest.raises(verify.ProvedNothing, match="no fault met traffic in 2 examples"):
        verify.no_update_lost(
            lambda _: toy.RightStore(server.address), server, seed=1, max_examples=2, faults=[Cut(9)]
        )


def test_a_client_that_cannot_subscribe_proves_nothing(toy: Any, server: Any) -> None:
    class Deaf(toy.RightStore):  # type: ignore[misc, name-defined]
        def subscribe(self, prefix: str, deliver: Any) -> None:
            self.request({"op": "get", "prefix": prefix})
            raise OSError("no")

    with pytest.raises(verify.ProvedNothing, match="no subscription came about in 1 of 1"):
        verify.replay(
            Deaf,
            server,
            Schedule([Subscribe(), Write("a", via="link"), Break(Cut(0)), Write("b", via="link")]),
        )


def test_a_subscriber_that_is_always_told_to_give_up_proves_nothing(toy: Any, server: Any) -> None:
    from pytest_netfault import Delivery

    class Loud(toy.RightStore):  # type: ignore[misc, name-defined]
        def goes_on(self, error: Exception | None) -> bool:
            self.hand(Delivery(error="the link broke"))
            return False

    with pytest.raises(verify.ProvedNothing, match="was notified that it can no longer be served in 1 of 1"):
        verify.replay(Loud, server, LOSS)


# -- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"open_store": 7}, TypeError, "open_store must be a function .*, not 7"),
        ({"server": object()}, TypeError, "an object with an address, such as .* not <object"),
        ({"server": SimpleNamespace(address="x", log=list)}, TypeError, "has log.* and no revision"),
        ({"server": SimpleNamespace(address="x", revision=int)}, TypeError, "has revision.* and no log"),
        ({"server": "127.0.0.1:6379"}, TypeError, "with an address, such as .* not '127.0.0.1:6379'"),
        ({"server": SimpleNamespace(address="x", read={})}, TypeError, "must be a function of a prefix"),
        (
            {"promise": "all"},
            ValueError,
            "promise must be 'every-event' or 'latest-value' or .* or 'comes-back', not 'all'",
        ),
        ({"faults": []}, ValueError, "faults must name at least one fault"),
        ({"faults": ["sever"]}, TypeError, "faults must hold faults such as .*, not 'sever'"),
        ({"faults": Sever}, TypeError, "faults must be a list of faults"),
        ({"max_examples": 0}, ValueError, "max_examples must be at least 1, not 0"),
        ({"max_examples": True}, TypeError, "max_examples must be a whole number, not True"),
        ({"max_seconds": 0}, ValueError, "max_seconds must be more than 0 seconds and finite, not 0"),
        (
            {"max_seconds": float("nan")},
            ValueError,
            "max_seconds must be more than 0 seconds and finite, not nan",
        ),
        ({"settle": -1}, ValueError, "settle must be more than 0 seconds and finite, not -1"),
        ({"settle": "5"}, TypeError, "settle must be a number of seconds, not '5'"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number or None, not 1.5"),
        ({"shard": "9/8"}, ValueError, "shard must be a number of a number, such as '2/8', not '9/8'"),
        ({"report_dir": 7}, TypeError, "report_dir must be a path, not 7"),
        ({"report_dir": __file__}, ValueError, "report_dir must be a directory"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(
    toy: Any, server: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"open_store": toy.RightStore, "server": server, **arguments}
    with pytest.raises(error, match=message):
        verify.no_update_lost(given.pop("open_store"), given.pop("server"), **given)


def test_replay_takes_schedules_only(toy: Any, server: Any) -> None:
    with pytest.raises(TypeError, match=r"schedule must be a Schedule, not \[Subscribe\(\)\]"):
        verify.replay(toy.RightStore, server, [Subscribe()])  # type: ignore[arg-type]


def test_all_faults_but_corrupt_are_drawn_by_default() -> None:
    assert Corrupt not in verify.ALL
    assert len(verify.ALL) == 11


def test_the_seed_of_the_session_is_taken(toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETFAULT_SEED", "77")
    assert verify.replay(toy.RightStore, server, LOSS).seed == 77


def test_name_spaces_are_equally_long_and_not_those_of_another_process() -> None:
    names = list(itertools.islice(namespaces(), 3))
    assert {len(name) for name in names} == {11}
    assert len(set(names)) == 3
    assert next(namespaces()) not in names


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "9" * 21, "9" * 5_000], ids=lambda seed: seed[:25])
def test_a_seed_of_the_environment_that_is_none_is_refused(
    seed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETFAULT_SEED", seed)
    with pytest.raises(
        ValueError, match=r"^NETFAULT_SEED must be a whole number of at most 20 digits, not '"
    ):
        pick_seed(None)
