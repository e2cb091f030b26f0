"""A proof from the opening of what it needs to its result, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pytest_netfault.common.garbage import CollectAfterFailure
from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.async_stores import AsyncClients
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.campaign import Campaign
from pytest_netfault.proof.contract import Server
from pytest_netfault.proof.lanes import Lanes
from pytest_netfault.proof.ledger import Ledger
from pytest_netfault.proof.limits import Deadline
from pytest_netfault.proof.plans import Proof
from pytest_netfault.proof.results import Result
from pytest_netfault.store import OpenStore

__all__ = ["play_proof"]

T = TypeVar("T")

# A close() that takes longer than ``settle`` is reported by whoever waits for it; then its tasks are cancelled.
_CLOSE_MARGIN_SECONDS = 0.25


def play_proof(
    proof: Proof,
    open_store: OpenStore,
    server: Server,
    settings: Settings,
    within: Callable[[Callable[[], Result], Ledger], T],
) -> tuple[T, dict[str, int]]:
    """Open what a proof needs, play it, close all.

    Args:
        proof: what is played.
        open_store: opens the client under test.
        server: the store itself.
        settings: of the proof.
        within: calls what it is given, which plays, and may look at what was counted; may raise.

    Returns:
        What ``within`` returned, and the tasks that asyncio clients left running, by their names, with how often.
    """
    __tracebackhide__ = True
    clients = AsyncClients(open_store, close_timeout=settings.settle + _CLOSE_MARGIN_SECONDS)

    def open_bench(until: Deadline = settings.deadline, /, *, apart: bool = False) -> Bench:
        return Bench(clients, server, settings, until, apart=apart)

    with (
        CollectAfterFailure(),
        clients,
        open_bench() as bench,
        Lanes(bench, open_bench, settings.lanes, until=settings.deadline) as lanes,
    ):
        campaign = Campaign(bench, open_bench, lanes, settings, proof.asked)
        result = within(lambda: proof.prove(campaign), campaign.ledger)
    return result, clients.left_behind
