"""A cut at every byte, or at three places of each frame: how many places, how long they take, and where a client loses.

    python tests/benchmarks/bench_sweep.py [naive_etcd3 runtime_config_store] [--frames] [--stride N] [--settle S]

`verify.sweep` stops at the first loss; this goes on and counts. Prints a line for each way to end a connection and
asserts nothing. The clients are those of the documentation, on a real etcd.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_netfault.faults import CutHow
from pytest_netfault.proof.arguments import Settings, default_lanes
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.lanes import Lanes
from pytest_netfault.proof.limits import NO_DEADLINE, Deadline
from pytest_netfault.proof.shards import WHOLE
from pytest_netfault.proof.sweep import (
    LEARNING_RUNS,
    SCENARIO,
    Learned,
    Place,
    Wanted,
    fired,
    in_words,
    places_of,
    play_place,
    scenario_with,
)
from pytest_netfault.servers.etcd import find_etcd

STORES = Path(__file__).parents[2] / "docs" / "examples" / "stores"


def open_store_of(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"netfault_bench_{name}", STORES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.open_store


def sweep(name: str, server: Any, *, stride: int, settle: float, frames: bool) -> None:
    open_store = open_store_of(name)

    def open_bench(_until: Deadline = NO_DEADLINE, /, *, apart: bool = False) -> Bench:
        return Bench(open_store, server, Settings(settle=settle, seed=1), apart=apart)

    with open_bench() as bench:
        learned = [Learned.of(bench.play(SCENARIO, learn=frames), SCENARIO) for _ in range(LEARNING_RUNS)]
    how: tuple[CutHow, ...] = ("fin", "rst", "blackhole")
    wanted = places_of(learned, Wanted(stride=stride, how=how, frames=frames), WHOLE)
    print(f"{name}: {in_words(learned, frames=frames)}; {len(wanted)} places (stride {stride})", flush=True)
    tried, lost, holes = Counter[str](), Counter[str](), Counter[str]()
    first: list[str] = []
    began = time.monotonic()

    def play(bench: Bench, place: Place, until: Deadline) -> Run:
        return play_place(bench, scenario_with(SCENARIO, place), until)

    with open_bench() as own, Lanes(own, open_bench, default_lanes(), until=NO_DEADLINE) as lanes:
        for place, run in lanes.in_order(play, wanted):
            tried[place.how] += 1
            holes[place.how] += not fired(run)
            lost[place.how] += bool(run.broken)
            if run.broken and not first:
                first.append(f"{place.cut} ({', '.join(run.broken)})")
    seconds = time.monotonic() - began
    for kind in how:
        print(f"  {kind:<10} {tried[kind]:>5} places, {holes[kind]:>3} never reached, lost at {lost[kind]}")
    each = seconds / len(wanted)
    print(
        f"  {seconds:.1f} s, {each * 1000:.0f} s for 1,000 places; first loss: {first[0] if first else 'none'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["naive_etcd3", "runtime_config_store"], metavar="NAME")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--frames", action="store_true", help="three places in each frame")
    parser.add_argument("--settle", type=float, default=5.0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # each lost connection is logged, and here is nothing else
    server = find_etcd().start()
    try:
        for name in options.names:
            sweep(name, server, stride=options.stride, settle=options.settle, frames=options.frames)
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
