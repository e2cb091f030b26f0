"""From the first loss behind a dead flow to the one that is reported.

Each play takes as long as the client needs to notice, or all of ``notice`` if it never does. So nothing is shrunk play
by play: what is played beside the examples begins together, the smallest schedule among it, and ends together. Where
the client did come back and something else is wrong, the smallest schedule and the failing one are played a few times
more, all at once.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_netfault.proof.bench import OpenBench
from pytest_netfault.proof.beside import Beside
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.limits import Deadline
from pytest_netfault.proof.unnoticed import never_noticed
from pytest_netfault.schedules.dead_flows import leaves_dead_flow, smallest
from pytest_netfault.schedules.schedule import Schedule
from pytest_netfault.schedules.shrink import complexity
from pytest_netfault.schedules.steps import Break

__all__ = ["Loss", "smallest_loss"]

# What began together ends together, but for the steps before the flow dies.
_TOGETHER_SECONDS = 5.0
_AGAIN = 3


@dataclass(frozen=True)
class Loss:
    """What is reported.

    Attributes:
        run: a failing run of the smallest schedule.
        found: how it was found, in words.
        repeated: how often that schedule failed, and out of how many plays.
    """

    run: Run
    found: str
    repeated: tuple[int, int] = (1, 1)


def smallest_loss(
    lost: Sequence[tuple[int, Run]], beside: Beside, open_bench: OpenBench, *, until: float
) -> Loss:
    """Look for the smallest schedule that fails as the first did, for a bounded time; closes ``beside``.

    Args:
        lost: the runs that failed, in the order in which they ended, each with the number of its schedule among those
            that are played beside.
        beside: where it was played.
        open_bench: opens what it is played with again.
        until: ``time.monotonic()`` at which it must be over.
    """
    number, run = lost[0]
    failing = {run.schedule: run}
    wait_until = min(until, time.monotonic() + _TOGETHER_SECONDS)
    for _, other in itertools.chain(lost[1:], _rest(beside, wait_until)):
        if set(other.broken) & set(run.broken):
            failing.setdefault(other.schedule, other)
    beside.close()
    judged = beside.judged
    best = failing[min(failing, key=complexity)]
    found = (
        f"Found in schedule {number} of {beside.of} with a dead flow; {len(failing)} of {judged} that had ended by "
        f"then lost an update."
    )
    if never_noticed(best) is not None:
        return Loss(best, found)
    return _played_again(best, found, open_bench, until)


def _rest(beside: Beside, until: float) -> Iterator[tuple[int, Run]]:
    while beside.pending and (taken := beside.take(until - time.monotonic())) is not None:
        yield taken


def _played_again(best: Run, found: str, open_bench: OpenBench, until: float) -> Loss:
    killer = next(step for step in best.schedule if leaves_dead_flow(step))
    assert isinstance(killer, Break)
    tried = list(dict.fromkeys([smallest(killer.fault), best.schedule]))
    schedules = list(itertools.chain.from_iterable([one] * _AGAIN for one in tried))
    runs: dict[Schedule, list[Run]] = {one: [] for one in tried}
    runs[best.schedule].append(best)
    # As long as it took, and as much again for a busier machine.
    until = min(until, time.monotonic() + 2 * (best.ended - best.began) + _TOGETHER_SECONDS)
    with Beside(schedules, len(schedules), open_bench, deadline=Deadline(until)) as again:
        for _, run in _rest(again, until):
            runs[run.schedule].append(run)
    for schedule, played in sorted(runs.items(), key=lambda one: complexity(one[0])):
        failed = [run for run in played if set(run.broken) & set(best.broken)]
        if failed and (len(failed) == len(played) or schedule == best.schedule):
            return Loss(failed[0], found, (len(failed), len(played)))
    return Loss(best, found)
