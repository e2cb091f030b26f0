"""The same proof of the wrapper in one lane, in the lanes of its default, and by the workers of an executor.

    python tests/benchmarks/bench_search.py [--lanes-examples N] [--workers-examples N] [--workers N]

The client is `runtime_config` as the documentation opens it, on a real etcd; each worker has an etcd of its own. What
is compared is wall time: a play waits for most of its time. Dead flows are left out of all runs, since in one lane each
lasts as long as the client takes to notice it. Asserts nothing.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))

from stores import runtime_config_store

from pytest_netfault import verify
from pytest_netfault.servers.etcd import find_etcd


@contextmanager
def open_etcd() -> Iterator[Any]:
    """An etcd of a worker's own."""
    with find_etcd().start() as server:
        yield server


def cpu_seconds() -> float:
    """Of this process, and of those that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(what: str, examples: int, **options: Any) -> float:
    """Play, and print how long it took."""
    began, spent = time.monotonic(), cpu_seconds()
    report = verify.no_update_lost(
        runtime_config_store.open_store, max_examples=examples, seed=1, notice=None, **options
    )
    seconds = time.monotonic() - began
    print(
        f"  {what:<34}{seconds:>8.1f} s{cpu_seconds() - spent:>8.1f} s of CPU   {report.examples} examples,"
        f" {report.inconclusive} inconclusive",
        flush=True,
    )
    return seconds


def by_lanes(examples: int) -> None:
    """One lane beside the default."""
    print(f"{examples} examples in lanes (goal: at most 0.25 of one lane)")
    with find_etcd().start() as server:
        one = timed("one lane", examples, server=server, lanes=1)
        default = timed("the default", examples, server=server)
    print(f"  the default took {default / one:.2f} of one lane")


def by_workers(examples: int, workers: int) -> None:
    """One lane in this process beside the workers of a pool."""
    print(f"{examples} examples by {workers} workers (goal: at most 0.25 of serial)")
    with find_etcd().start() as server:
        one = timed("serial: one lane", examples, server=server, lanes=1)
    context = multiprocessing.get_context("spawn")
    quiet = (logging.CRITICAL,)
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=logging.disable, initargs=quiet
    ) as executor:
        pool = timed(f"{workers} workers", examples, server=open_etcd, executor=executor)
    print(f"  the workers took {pool / one:.2f} of serial")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lanes-examples", type=int, default=100, metavar="N")
    parser.add_argument("--workers-examples", type=int, default=1000, metavar="N")
    parser.add_argument("--workers", type=int, default=8, metavar="N")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # each lost connection is logged, and here is nothing else
    if options.lanes_examples:
        by_lanes(options.lanes_examples)
    if options.workers_examples:
        by_workers(options.workers_examples, options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
