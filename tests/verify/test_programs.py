"""A client under test in a program, through the whole proof: kept, lost, and failing, which is neither."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import ProcessStore, verify
from pytest_netfault.faults import Reset, Sever
from pytest_netfault.schedules import Break, Schedule, Subscribe, WaitForEvents, Write

# The client of the toy store behind the protocol. What it does besides is its second argument.
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import toy
flaw, dies = sys.argv[2].removesuffix(", dies"), sys.argv[2].endswith(", dies")

class Deaf(toy.RightStore):
    def on_events(self, revision, changes):
        self.next = revision + 1
        if revision < 4:
            super().on_events(revision, changes)

def write(message):
    sys.stdout.write(json.dumps(message) + "\\n")
    sys.stdout.flush()

def deliver(delivery):
    if delivery.events is not None:
        carried = {"events": [vars(event) for event in delivery.events]}
    elif delivery.resync is not None:
        carried = {"resync": {"revision": delivery.resync.revision, "kvs": delivery.resync.kvs}}
    else:
        carried = {"bookmark": delivery.bookmark} if delivery.error is None else {"error": delivery.error}
    write({"deliver": carried})

store, direct, subscribed = None, None, False
for line in sys.stdin:
    request = json.loads(line)
    do = request["do"]
    if do == "put" and flaw == ("crash" if subscribed else "crash direct"):
        print("segmentation fault", file=sys.stderr)
        sys.exit(3)
    try:
        if do == "open":
            store = (Deaf if flaw in ("deaf", "crash") else toy.RightStore)(request["address"])
        elif do == "put":
            store.put(request["key"], request["value"])
        elif do == "delete":
            store.delete(request["key"])
        elif do == "subscribe":
            write({"log": "subscribing"})
            subscribed = True
            store.subscribe(request["prefix"], deliver)
            if flaw == "phantom":
                event = {"key": request["prefix"] + "a", "value": "never written", "revision": 1_000_000}
                write({"deliver": {"events": [event]}})
        elif do == "close":
            if dies and subscribed:
                print("double free", file=sys.stderr)
                sys.exit(4)
            store.close()
        write({"id": request["id"], "ok": True})
    except Exception as error:
        write({"id": request["id"], "unknown": repr(error)})
    if do == "close":
        break
"""

SCHEDULE = Schedule(
    [Subscribe(), Write("a"), WaitForEvents(), Break(Reset()), Write("a"), Write("b"), Write("b", via="link")]
)


def client(toy: Any, flaw: str) -> ProcessStore:
    return ProcessStore([sys.executable, "-c", PROGRAM, str(Path(toy.__file__).parent), flaw])


@pytest.mark.slow
def test_a_right_program_is_kept(toy: Any, server: Any) -> None:
    report = verify.no_update_lost(
        client(toy, "right"), server, faults=[Reset, Sever], max_examples=3, seed=1, notice=None
    )
    assert report.examples == 3
    assert report.client_failures == 0


@pytest.mark.slow
def test_a_program_that_loses_an_update_is_caught(toy: Any, server: Any) -> None:
    with pytest.raises(verify.UpdateLost) as lost:
        verify.replay(client(toy, "deaf"), server, SCHEDULE, settle=1.0)
    assert "complete" in lost.value.broken
    assert lost.value.timeline is not None
    said = [mark.label for mark in lost.value.timeline.marks if mark.label.startswith("the client: ")]
    assert said == ["the client: subscribing"]


@pytest.mark.parametrize("flaw", ["crash", "crash direct"])
def test_a_program_that_crashes_proves_nothing_although_it_had_lost_updates(
    toy: Any, server: Any, flaw: str
) -> None:
    with pytest.raises(verify.ProvedNothing) as nothing:
        verify.replay(client(toy, flaw), server, SCHEDULE)
    report = nothing.value.report
    assert (report.examples, report.inconclusive, report.client_failures) == (1, 1, 1)
    assert "the client itself failed in 1 of 1 example" in str(nothing.value)
    assert "ended with exit code 3 before it was closed" in str(nothing.value)
    assert str(nothing.value).endswith("segmentation fault")


@pytest.mark.slow
@pytest.mark.parametrize("flaw", ["right", "deaf", "phantom"])
def test_a_program_that_dies_before_it_has_closed_is_not_judged_by_what_it_had_delivered(
    toy: Any, server: Any, flaw: str
) -> None:
    """A wrong change ends a run at once, so its program may die of the same mistake only after that, however soon."""
    if flaw != "right":
        with pytest.raises(verify.UpdateLost):
            verify.replay(client(toy, flaw), server, SCHEDULE, settle=1.0)
    with pytest.raises(verify.ProvedNothing, match="ended with exit code 4 before it was closed") as nothing:
        verify.replay(client(toy, f"{flaw}, dies"), server, SCHEDULE, settle=1.0)
    report = nothing.value.report
    assert (report.examples, report.inconclusive, report.client_failures) == (1, 1, 1)
    assert str(nothing.value).endswith("double free")


def test_a_program_that_fails_now_and_then_is_a_warning(toy: Any, server: Any) -> None:
    """Of three examples one crashes: the others prove something, and the failure is said."""
    opened: list[str] = []

    class Sometimes(ProcessStore):
        def open(self, address: str, *, close_timeout: float = 5.0) -> Any:
            opened.append(address)
            flaw = "crash" if len(opened) == 2 else "right"  # the first one is the direct writer
            return client(toy, flaw).open(address, close_timeout=close_timeout)

    through_link = Schedule(
        [Subscribe(), Write("a", via="link"), WaitForEvents(), Break(Reset()), Write("a")]
    )
    with pytest.warns(
        verify.ClientFailure, match="failed in 1 of 3 examples, which prove nothing: .*exit code 3"
    ):
        report = _play_three(Sometimes(["-"]), server, through_link)
    assert (report.inconclusive, report.client_failures) == (1, 1)


def _play_three(open_store: ProcessStore, server: Any, schedule: Schedule) -> verify.Report:
    from pytest_netfault.proof.arguments import settings_of
    from pytest_netfault.schedules.shrink import ANYTHING

    settings = settings_of(
        open_store, server, promise="every-event", settle=5.0, notice=None, seed=1, report_dir=None
    )

    class Three:
        call, asked = "no_update_lost", ANYTHING

        def prove(self, campaign: Any) -> Any:
            return campaign.prove([schedule] * 3, of=3)

    return verify._proved(Three(), open_store, server, settings)
