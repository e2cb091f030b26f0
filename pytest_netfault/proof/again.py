"""What was lost before is played again, ahead of anything else: each saved schedule is a small proof of its own.

The first that loses an update again ends the proof, as a loss in an example would. One that was put to the test and
loses nothing is dropped; where that is open, because no subscription came about, the time was up, or this machine
cannot do what the other one did, it stays.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.dealing import Dealt, deal
from pytest_netfault.proof.parts import recorded
from pytest_netfault.proof.plans import Again
from pytest_netfault.proof.playing import play_proof
from pytest_netfault.proof.remembered import Remembered
from pytest_netfault.proof.results import Lost
from pytest_netfault.schedules.generate import FaultMix
from pytest_netfault.schedules.shrink import Asked
from pytest_netfault.store import OpenStore

__all__ = ["play_again"]


def play_again(
    remembered: Remembered,
    mix: FaultMix,
    open_store: OpenStore,
    server: Any,
    settings: Settings,
    executor: Executor | None,
) -> tuple[Lost | None, int]:
    """Play what was saved; the loss, if there is one, and how many lose nothing any more.

    Args:
        remembered: what was saved.
        mix: the faults that were asked for.
        open_store: opens the client under test.
        server: the store itself, or with an executor what opens one.
        settings: of the proof. Of several parts each plays some.
        executor: in whose workers it is played; None for here.
    """
    kept = 0
    for number, schedule in enumerate(remembered.schedules(mix, notice=settings.notice)):
        if settings.part.holds(number) and not settings.deadline.over:
            proof = Again(schedule, Asked(mix.faults), remembered.of)
            dealt = _dealt(proof, open_store, server, settings, executor)
            result, report = dealt.result, dealt.result.report
            if isinstance(result, Lost):
                if result.schedule != schedule:
                    remembered.drop(schedule)
                whole = recorded(result, proof.call, settings, dealt.tally, dealt.seconds)
                assert isinstance(whole, Lost)
                return whole, kept
            if report is not None and not report.inconclusive and report.writes_acknowledged:
                kept += 1
                remembered.drop(schedule)
    return None, kept


def _dealt(
    proof: Again, open_store: OpenStore, server: Any, settings: Settings, executor: Executor | None
) -> Dealt:
    if executor is not None:
        return deal(executor, proof, open_store, server, settings)
    (result, tally, seconds), left_behind = play_proof(
        proof,
        open_store,
        server,
        settings,
        lambda prove, ledger: (prove(), ledger.tally, ledger.seconds),
    )
    return Dealt(result, tally, seconds, left_behind, 0)
