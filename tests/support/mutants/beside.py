"""Finds mistakes with ``verify.no_update_lost`` and with ``@given(schedules())``, and prints both beside each other.

    PYTHONPATH=tests python -m support.mutants.beside --jobs 8 --shrinks 1 > docs/explanation/beside-table.txt

For each mistake: the median example in which each way found it; how many steps the smallest schedule has, the most of
the searches that shrink; how many seconds the slowest of these took with Hypothesis. It takes about ten minutes: it
mostly waits. Nothing is saved.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import multiprocessing
import statistics
import sys
import time
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings

from pytest_netfault import Schedule, verify
from pytest_netfault.proof.remembered import forgetful
from pytest_netfault.schedules import schedules
from pytest_netfault.schedules.generate import Ability
from support.mutants import toy
from support.mutants.subscribers import MUTANTS
from support.mutants.table import MAX_EXAMPLES, NOTICE_SECONDS, SETTLE_SECONDS, prove

# What the toy server and its clients can do.
ABILITIES: tuple[Ability, ...] = ("compact", "restart", "many")


class Found(Exception):
    """The search has found it, and shall not shrink it."""


@dataclass(frozen=True)
class Search:
    """What became of one search.

    Attributes:
        example: in which example it was found; more than there are if it was not.
        steps: how many steps the smallest schedule has; 0 if it was not shrunk.
        seconds: how long all of it took.
    """

    example: int = MAX_EXAMPLES + 1
    steps: int = 0
    seconds: float = 0.0


def by_one_call(name: str, number: int, shrinks: bool) -> Search:
    """One search with ``verify.no_update_lost``."""
    kind = MUTANTS[name]
    first: list[int] = []

    def watch(progress: verify.Progress) -> None:
        if progress.failed and not first:
            first.append(progress.done)
            if not shrinks:
                raise Found

    began, steps = time.monotonic(), 0
    with toy.ToyServer() as server, forgetful(), contextlib.suppress(Found):
        try:
            prove(kind, server, number, watch)
        except verify.UpdateLost as lost:
            steps = len(lost.schedule)
    return Search(first[0] if first else MAX_EXAMPLES + 1, steps, time.monotonic() - began)


def with_hypothesis(name: str, number: int, shrinks: bool) -> Search:
    """One search with ``@given(schedules())``."""
    kind = MUTANTS[name]
    plays, first, steps = 0, 0, 0

    def play(schedule: Schedule) -> None:
        nonlocal plays, first, steps
        plays += 1
        try:
            verify.replay(
                kind, server, schedule, promise=kind.promise, settle=SETTLE_SECONDS, notice=NOTICE_SECONDS
            )
        except verify.UpdateLost:
            # The last one that fails is the one that Hypothesis prints.
            first, steps = first or plays, len(schedule)
            raise

    test = given(schedule=schedules(faults=kind.faults, abilities=ABILITIES))(play)
    test = settings(
        max_examples=MAX_EXAMPLES,
        deadline=None,
        database=None,
        report_multiple_bugs=shrinks,
        phases=(Phase.generate, *([Phase.shrink] if shrinks else [])),
        suppress_health_check=list(HealthCheck),
    )(seed(number)(test))
    began = time.monotonic()
    with toy.ToyServer() as server, contextlib.suppress(verify.UpdateLost):
        test()
    return Search(first or MAX_EXAMPLES + 1, steps if shrinks else 0, time.monotonic() - began)


def _result(name: str, future: concurrent.futures.Future[Search]) -> Search:
    try:
        return future.result()
    except Exception as error:
        sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
        return Search()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="searches for each mistake in each way")
    parser.add_argument("--shrinks", type=int, default=2, help="so many of them shrink what they find")
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time")
    options = parser.parse_args()
    say = sys.stdout.write
    say(
        "| mistake | example, one call | example, `@given` | steps, one call | steps, `@given` | seconds, `@given` |\n"
    )
    say("|---|---|---|---|---|---|\n")
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        searches = {
            name: [
                [pool.submit(way, name, number, number < options.shrinks) for number in range(options.seeds)]
                for way in (by_one_call, with_hypothesis)
            ]
            for name in options.names or MUTANTS
        }
        for name, ways in searches.items():
            one, two = ([_result(name, future) for future in way] for way in ways)
            mistake = (MUTANTS[name].__doc__ or "").splitlines()[0]
            found = [f"{statistics.median(search.example for search in way):g}" for way in (one, two)]
            steps = [f"{max(search.steps for search in way)}" for way in (one, two)]
            slowest = max((search.seconds for search in two[: options.shrinks]), default=0)
            say(f"| {mistake} | {' | '.join([*found, *steps])} | {slowest:.0f} |\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
