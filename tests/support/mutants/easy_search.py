"""Measures in which example each search finds the mistakes that show soon, without shrinking them.

    PYTHONPATH=tests python -m support.mutants.easy_search --first-seed 101 --seeds 6

The first 32 schedules of both searches are the same: the mistakes that a median of two examples finds need no
measuring, and names after the options choose others.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import sys
from typing import get_args

from pytest_netfault import verify
from pytest_netfault.proof.plans import Search
from support.mutants import toy
from support.mutants.subscribers import MUTANTS

MAX_EXAMPLES = 200
NAMES = (
    "TrustsTheHeader",
    "IgnoresCompaction",
    "ResyncsWithoutDeletes",
    "CountsChangesAsRevisions",
    "DropsRepeatedValues",
    "TakesHalfALineForAWhole",
    "RetriesWritesBlindly",
    "CallsATimeoutARejection",
    "SplitsTransactions",
    "LosesTheLastValueOfAKey",
)


class Found(BaseException):
    """Ends a search before it shrinks what it has found."""


def find(name: str, seed: int, search: Search) -> int | None:
    """Search once; return in which example it was found."""
    kind = MUTANTS[name]
    first: list[int] = []

    def watch(progress: verify.Progress) -> None:
        if progress.failed:
            first.append(progress.done)
            raise Found

    with toy.ToyServer() as server:
        try:
            verify.no_update_lost(
                kind,
                server,
                seed=seed,
                faults=kind.faults,
                promise=kind.promise,
                settle=1.5,
                notice=None,
                max_examples=MAX_EXAMPLES,
                max_seconds=30.0,
                search=search,
                progress=watch,
            )
        except Found:
            return first[0]
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time")
    options = parser.parse_args()
    searches: tuple[Search, ...] = get_args(Search)
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        found = {
            (name, search): [
                pool.submit(find, name, seed, search)
                for seed in range(options.first_seed, options.first_seed + options.seeds)
            ]
            for name in options.names or NAMES
            for search in searches
        }
        for (name, search), futures in found.items():
            sys.stdout.write(f"{name} {search}: {[future.result() for future in futures]}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
