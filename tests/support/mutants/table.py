"""Plays every mutant with several seeds and prints the table of the documentation.

    PYTHONPATH=tests python -m support.mutants.table > docs/explanation/mutant-table.txt

takes about half an hour on two cores: it mostly waits. The exit code is 1 if a mistake was missed by a seed, or the
client without a mistake was blamed. ``--schedules`` shows the smallest schedules on standard error; names after the
options play those only.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_netfault import verify
from pytest_netfault.proof.remembered import forgetful
from support.mutants import toy
from support.mutants.subscribers import MUTANTS

# A client comes back within a tenth of a second here, and notices silence after less than half a second.
SETTLE_SECONDS = 1.5
NOTICE_SECONDS = 5.0
MAX_EXAMPLES = 200
MAX_SECONDS = 60.0
# A busy machine may leave a process waiting for seconds, and the right client, with its time limits of 0.4 s, starves.
# It costs nothing: a run ends at once when everything has arrived.
RIGHT_SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class Search:
    """What became of one search for one mistake.

    Attributes:
        found: whether it was found, within the limits, by a guarantee that it is known to break.
        example: in which example.
        seconds: after how many seconds; shrinking comes after that.
        steps: how many steps the smallest schedule has.
        broken: what was broken.
        told: the smallest schedule, and how often it failed.
    """

    found: bool
    example: int
    seconds: float
    steps: int = 0
    broken: tuple[str, ...] = ()
    told: str = "not found"


def prove(
    kind: Any,
    server: Any,
    seed: int,
    watch: Callable[[verify.Progress], None],
    max_seconds: float | None = None,
) -> None:
    """The one call for a mistake, as its table makes it."""
    verify.no_update_lost(
        kind,
        server,
        seed=seed,
        faults=kind.faults,
        promise=kind.promise,
        settle=SETTLE_SECONDS,
        notice=NOTICE_SECONDS,
        max_examples=MAX_EXAMPLES,
        progress=watch,
        max_seconds=max_seconds,
    )


def find(name: str, seed: int) -> Search:
    """Search for one mistake with one seed, on a server of its own."""
    kind = MUTANTS[name]
    first: list[tuple[int, float]] = []

    def watch(progress: verify.Progress) -> None:
        if progress.failed and not first:
            first.append((progress.done, progress.seconds))

    with toy.ToyServer() as server, forgetful():
        try:
            prove(kind, server, seed, watch, max_seconds=MAX_SECONDS)
        except verify.UpdateLost as lost:
            example, seconds = first[0]
            return Search(
                bool(set(lost.broken) & set(kind.expects)) and seconds <= MAX_SECONDS,
                example,
                seconds,
                len(lost.schedule),
                lost.broken,
                f"{lost.repeated[0]} of {lost.repeated[1]}: {', '.join(lost.broken)}: {lost.schedule}",
            )
    return Search(False, MAX_EXAMPLES, MAX_SECONDS)


def endure(promise: Any, seed: int, examples: int) -> verify.Report | str:
    """Play so many examples against a client that keeps this promise; text tells that it was blamed."""
    with toy.ToyServer() as server:
        try:
            return verify.no_update_lost(
                toy.RIGHT[promise],
                server,
                promise=promise,
                seed=seed,
                settle=RIGHT_SETTLE_SECONDS,
                max_examples=examples,
            )
        except verify.UpdateLost as lost:
            return str(lost)


def row(name: str, searches: Sequence[Search]) -> str:
    """The line of the table for one mistake."""
    mistake = (MUTANTS[name].__doc__ or "").splitlines()[0]
    examples = sorted(one.example for one in searches)
    seconds = sorted(one.seconds for one in searches)
    return (
        f"| {mistake} | {sum(one.found for one in searches)} of {len(searches)} "
        f"| {examples[len(examples) // 2]}, {examples[-1]} | {seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f} "
        f"| {max(one.steps for one in searches)} "
        f"| {', '.join(sorted({guarantee for one in searches for guarantee in one.broken}))} |"
    )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="seeds for each mistake")
    parser.add_argument(
        "--right", type=int, default=5000, help="examples for the client without a mistake; 0 for none"
    )
    parser.add_argument(
        "--promises", nargs="*", choices=toy.RIGHT, default=list(toy.RIGHT), help="of --right"
    )
    parser.add_argument("--no-mistakes", action="store_true", help="play the right clients only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="searches at a time")
    parser.add_argument("--schedules", action="store_true", help="show the smallest schedules")
    options = parser.parse_args()
    names = [] if options.no_mistakes else options.names or list(MUTANTS)
    began = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        searches = {name: [pool.submit(find, name, seed) for seed in range(options.seeds)] for name in names}
        right = {
            promise: [
                pool.submit(endure, promise, seed, options.right // options.seeds)
                for seed in range(options.seeds if options.right else 0)
            ]
            for promise in options.promises
        }
        say("| mistake | found by seeds | example (median, worst) | seconds | steps | broken |")
        say("|---|---|---|---|---|---|")
        missed = 0
        for name, futures in searches.items():
            results = [future.result() for future in futures]
            missed += sum(not one.found for one in results)
            say(row(name, results))
            if options.schedules:
                for seed, one in enumerate(results):
                    sys.stderr.write(f"{name} seed {seed}, example {one.example}: {one.told}\n")
                sys.stderr.flush()
        played = options.right // options.seeds * options.seeds
        ever_blamed = 0
        for promise, playing in right.items():
            reports = [future.result() for future in playing]
            blamed = sum(isinstance(report, str) for report in reports)
            ever_blamed += blamed
            sys.stderr.writelines(f"{promise}: {report}\n" for report in reports)
            if reports:
                verdict = (
                    "kept in all of them" if not blamed else f"BLAMED by {blamed} of {options.seeds} seeds"
                )
                of = "" if promise == "every-event" else f" that promises {promise}"
                say(
                    f"\nThe client without a mistake{of}, {played:,} examples of {options.seeds} seeds: {verdict}."
                )
    say(f"\n{len(names)} mistakes, {options.seeds} seeds each; {time.monotonic() - began:.0f} s in all.")
    return 1 if missed or ever_blamed else 0


if __name__ == "__main__":
    sys.exit(main())
