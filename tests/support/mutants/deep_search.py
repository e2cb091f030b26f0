"""Measures how many examples the searches need for each deep mistake, all of them in the same plays.

    PYTHONPATH=tests python -m support.mutants.deep_search --seeds 20 --examples 1500

plays the client without a mistake, which writes down what it lives through (`deep.Watched`), and notes for each mistake
in which example it would have lost something first. Until a mistake is made its client is the one without,
so that these are the examples in which it is found.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.guided import Guided
from pytest_netfault.proof.lanes import Lanes
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline
from pytest_netfault.proof.signals import KINDS, signals_of
from pytest_netfault.schedules.dead_flows import Plan
from pytest_netfault.schedules.generate import FaultMix, seeded
from pytest_netfault.schedules.schedule import Schedule
from support.mutants import toy
from support.mutants.deep import DEEP, Watched

LANES = 8
# It costs nothing: a run ends at once when everything has arrived.
SETTLE_SECONDS = 10.0


@dataclass(frozen=True)
class Measured:
    """One search.

    Attributes:
        first: for each mistake that would have been found, in which example, and after how many seconds.
        counts: for each, in how many examples.
        examples: how many were played.
        seconds: in how many seconds.
        steps: of the schedules, all together.
        kept: how many schedules were kept as new, and how many signals there were.
    """

    first: dict[str, tuple[int, float]]
    counts: dict[str, int]
    examples: int
    seconds: float
    steps: int
    kept: tuple[int, int] = (0, 0)
    blamed: int = 0


def search(seed: int, arm: str, examples: int, max_seconds: float) -> Measured:
    """Play one search to its end."""
    settings = Settings(settle=SETTLE_SECONDS, notice=None, seed=seed, lanes=LANES)
    first: dict[str, tuple[int, float]] = {}
    counts: dict[str, int] = {}
    played = steps = blamed = 0
    began = time.monotonic()
    with toy.ToyServer() as server:

        def open_bench(until: Deadline = NO_DEADLINE, /, *, apart: bool = False) -> Bench:
            return Bench(Watched, server, settings, until, apart=apart)

        def play(bench: Bench, schedule: Schedule, until: Deadline) -> Run:
            return bench.play(schedule, deadline=until, learn=arm != "seeded")

        with open_bench() as bench, Lanes(bench, open_bench, LANES, until=NO_DEADLINE) as lanes:
            mix = Plan.of(bench.possible(FaultMix(), named=False), examples, notice=60.0, named=False).mix
            guided: Guided | None = None
            schedules: Iterator[Schedule]
            if arm == "seeded":
                schedules = (seeded(seed, number, mix) for number in range(examples))
            else:
                guided = Guided(seed, range(examples), mix, show=SHOWS[arm])
                schedules = iter(guided)
            with contextlib.closing(lanes.in_order(play, schedules)) as runs:
                for schedule, run in runs:
                    played += 1
                    steps += len(schedule)
                    blamed += bool(run.broken)
                    if guided is not None:
                        guided.learn(run)
                    for name in Watched.lost.pop(run.trace.filter.key, ()):
                        counts[name] = counts.get(name, 0) + 1
                        first.setdefault(name, (played, time.monotonic() - began))
                    if time.monotonic() - began > max_seconds:
                        break
    kept = (0, 0) if guided is None else (len(guided.corpus), guided.corpus.signals)
    return Measured(first, counts, played, time.monotonic() - began, steps, kept, blamed)


def _blind(run: Run) -> frozenset[str]:
    """As if every play had shown something new."""
    return frozenset({str(run.began)})


def _showing(*kinds: str) -> Callable[[Run], frozenset[str]]:
    return lambda run: signals_of(run, kinds)


SHOWS: dict[str, Callable[[Run], frozenset[str]]] = {
    "guided": signals_of,
    "blind": _blind,
    **{f"without-{kind}": _showing(*(one for one in KINDS if one != kind)) for kind in KINDS},
    **{f"only-{kind}": _showing(kind) for kind in KINDS},
}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--arms",
        nargs="*",
        choices=["seeded", *SHOWS],
        default=["seeded", "guided"],
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--max-seconds", type=float, default=3600.0, help="for each search")
    parser.add_argument("--jobs", type=int, default=1, help="searches at a time")
    parser.add_argument("--json", type=Path, help="append a line for each search to this file")
    options = parser.parse_args()
    with concurrent.futures.ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        jobs = {
            (seed, arm): pool.submit(
                search,
                seed,
                arm,
                options.examples,
                options.max_seconds,
            )
            for seed in range(options.first_seed, options.first_seed + options.seeds)
            for arm in options.arms
        }
        done: dict[str, list[Measured]] = {arm: [] for arm in options.arms}
        for (seed, arm), future in jobs.items():
            one = future.result()
            done[arm].append(one)
            sys.stderr.write(
                f"{arm} seed {seed}: {one.examples} examples in {one.seconds:.0f} s, {one.steps / one.examples:.1f} "
                f"steps each, {one.kept[0]} kept, {one.kept[1]} signals, {one.blamed} blamed\n"
            )
            sys.stderr.flush()
            if options.json:
                with options.json.open("a") as file:
                    file.write(json.dumps({"seed": seed, "arm": arm, **vars(one)}) + "\n")
    say("| mistake | " + " | ".join(options.arms) + " |")
    say("|---" * (1 + len(options.arms)) + "|")
    for name in DEEP:
        say(f"| {name} | " + " | ".join(median(name, done[arm]) for arm in options.arms) + " |")
    for arm, searches in done.items():
        say(
            f"{arm}: found {sum(len(one.first) for one in searches)} of {len(DEEP) * len(searches)}, "
            f"in {sum(sum(one.counts.values()) for one in searches)} plays"
        )
    return 0


def median(name: str, searches: list[Measured]) -> str:
    """The median of the examples in which it was found, and how often it was."""
    firsts = [one.first[name][0] if name in one.first else one.examples + 1 for one in searches]
    found = sum(name in one.first for one in searches)
    often = sum(one.counts.get(name, 0) for one in searches)
    middle = statistics.median(firsts)
    shown = f"{middle:g}" if middle <= max(one.examples for one in searches) else f"> {searches[0].examples}"
    return f"{shown} ({found} of {len(searches)}; {often} plays)"


if __name__ == "__main__":
    sys.exit(main())
