"""Plays the same schedules with a client in Go and with its Python twin, and compares what becomes of each.

    python tests/support/same_verdicts.py --schedules 200 --jobs 2

The twin has the same logic, and is played twice: as a program beside this process, and inside it. Half of the schedules
are played with the right logic under every fault. The other half are played with a naive one, which goes on from now
when it has lost its connection. What it loses must not depend on how fast a language is, so there the client itself
writes nothing, and no connection is cut at a byte: a byte of one language's stream is in another place in another's.
The exit code is 1 if a schedule had two verdicts.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_netfault import ProcessStore, ProvedNothing, Schedule, UpdateLost, verify
from pytest_netfault.faults import Cut
from pytest_netfault.schedules.generate import ALL, FaultMix, seeded
from pytest_netfault.schedules.steps import Delete, Step, Write, WriteMany
from pytest_netfault.servers.etcd import find_etcd

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TWIN = EXAMPLES / "languages" / "python" / "store.py"
WAYS = ("go", "python", "in process")


class CannotPlay(Exception):
    """A client cannot be built here; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What one schedule came to in each way.

    Attributes:
        number: which schedule.
        naive: with which logic it was played.
        schedule: as an expression.
        verdicts: ``"kept"``, ``"lost"`` or ``"inconclusive"``, in the order of the ways.
    """

    number: int
    naive: bool
    schedule: str
    verdicts: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether all ways agree."""
        return len(set(self.verdicts)) == 1


def schedule_of(seed: int, number: int, *, naive: bool) -> Schedule:
    """The schedule of this number."""
    kinds = [kind for kind in ALL if kind.traits.connections != "forget" and not (naive and kind is Cut)]
    mix = FaultMix(tuple(kinds), frozenset({"compact", "restart", "pause"}))
    schedule = seeded(seed, number, mix)
    return Schedule([_past_the_link(step) for step in schedule]) if naive else schedule


def _past_the_link(step: Step) -> Step:
    return replace(step, via="direct") if isinstance(step, (Write, Delete, WriteMany)) else step


def opener(way: str, *, naive: bool) -> Any:
    """The ``open_store`` of one way.

    Raises:
        CannotPlay: its program cannot be built here.
    """
    flags = ["-naive"] if naive else []
    if way == "go":
        programs = _module(EXAMPLES / "programs.py")
        try:
            return ProcessStore([*programs.command("go-etcd"), *flags])
        except programs.CannotBuild as reason:
            raise CannotPlay(str(reason)) from reason
    if way == "python":
        return ProcessStore([sys.executable, str(TWIN), *flags])
    return functools.partial(_module(TWIN).EtcdStore, naive=naive)


def outcome(seed: int, number: int, ways: Sequence[str], server: Any) -> Outcome:
    """Play one schedule in each way. Even numbers have the right logic, odd ones the naive one."""
    naive = bool(number % 2)
    schedule = schedule_of(seed, number, naive=naive)
    verdicts = tuple(_verdict(opener(way, naive=naive), server, schedule, seed) for way in ways)
    return Outcome(number, naive, str(schedule), verdicts)


def _verdict(open_store: Any, server: Any, schedule: Schedule, seed: int) -> str:
    try:
        report = verify.replay(open_store, server, schedule, seed=seed)
    except UpdateLost:
        return "lost"
    except ProvedNothing as nothing:  # of one schedule: that it was kept is a verdict all the same
        report = nothing.report
    return "inconclusive" if report.inconclusive else "kept"


@functools.cache
def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_WORKER: dict[str, Any] = {}


def _begin(seed: int, ways: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    _WORKER["play"] = functools.partial(outcome, seed, ways=ways, server=find_etcd().start())


def _play(number: int) -> Outcome:
    play: Callable[..., Outcome] = _WORKER["play"]
    return play(number=number)


def main() -> int:
    """Compare, and print what came of it."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with an etcd of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    arguments = parser.parse_args()
    for way in arguments.ways:
        opener(way, naive=False)  # what has to be built is built before the clock runs
    began = time.monotonic()
    seen: Counter[tuple[str, str]] = Counter()
    different = 0
    with ProcessPoolExecutor(
        arguments.jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(arguments.seed, tuple(arguments.ways)),
    ) as pool:
        for played, one in enumerate(pool.map(_play, range(arguments.schedules)), start=1):
            logic = "naive" if one.naive else "right"
            seen.update((logic, verdict) for verdict in set(one.verdicts))
            if not one.same:
                different += 1
                verdicts = ", ".join(
                    f"{way}: {verdict}" for way, verdict in zip(arguments.ways, one.verdicts, strict=True)
                )
                _say(f"schedule {one.number} ({logic}): {verdicts}\n    {one.schedule}")
            if played % 20 == 0:
                _say(f"{played} of {arguments.schedules} played, {different} with two verdicts")
    same = arguments.schedules - different
    _say(f"{same} of {arguments.schedules} schedules have the same verdict in: {', '.join(arguments.ways)}")
    _say(", ".join(f"{logic} {verdict}: {count}" for (logic, verdict), count in sorted(seen.items())))
    _say(f"{time.monotonic() - began:.0f} s, seed {arguments.seed}")
    return 1 if different else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
