"""Plays every mutant with several seeds and prints the table of the documentation.

python tests/verify/mutants/table.py [--seeds 5] [--right 5000] [--schedules] [NAME ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

from pytest_netfault import verify

# A client comes back within a tenth of a second here, and notices silence after less than half a second.
SETTLE_SECONDS = 1.5
MAX_EXAMPLES = 200
MAX_SECONDS = 60.0


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(
        f"netfault_mutants_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find(kind: Any, server: Any, seed: int) -> tuple[int, float, verify.UpdateLost | None]:
    """In which example it was found, after how many seconds, and how."""
    first: list[tuple[int, float]] = []

    def watch(progress: verify.Progress) -> None:
        if progress.failed and not first:
            first.append((progress.done, progress.seconds))

    try:
        verify.no_update_lost(
            kind,
            server,
            seed=seed,
            faults=kind.faults,
            settle=SETTLE_SECONDS,
            max_examples=MAX_EXAMPLES,
            max_seconds=MAX_SECONDS,
            progress=watch,
        )
    except verify.UpdateLost as lost:
        return *first[0], lost
    return MAX_EXAMPLES, MAX_SECONDS, None


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--right", type=int, default=0, help="examples for the client without a mistake")
    parser.add_argument(
        "--schedules", action="store_true", help="show the smallest schedules on standard error"
    )
    options = parser.parse_args()
    toy, mutants = load("toy"), load("subscribers").MUTANTS
    say("| mutant | mistake | found | in example (worst) | seconds (worst) | steps (worst) | broken |")
    say("|---|---|---|---|---|---|---|")
    missed = 0
    for name in options.names or mutants:
        kind = mutants[name]
        results = []
        for seed in range(options.seeds):
            with toy.ToyServer() as server:
                results.append(find(kind, server, seed))
        losses = [lost for _, _, lost in results if lost is not None]
        if options.schedules:
            for lost in losses:
                sys.stderr.write(f"{name}: {lost.repeated} {lost.broken} {lost.schedule}\n")
        right = sum(bool(set(lost.broken) & set(kind.expects)) for lost in losses)
        missed += options.seeds - right
        say(
            f"| {name} | {(kind.__doc__ or '').splitlines()[0]} | {right} of {options.seeds} "
            f"| {max(example for example, _, _ in results)} | {max(seconds for _, seconds, _ in results):.1f} "
            f"| {max((len(lost.schedule) for lost in losses), default='-')} "
            f"| {', '.join(sorted({one for lost in losses for one in lost.broken}))} |"
        )
    if options.right:
        began = time.monotonic()
        with toy.ToyServer() as server:
            report = verify.no_update_lost(
                toy.RightStore, server, seed=0, settle=5, max_examples=options.right
            )
        say(f"\nThe client without a mistake: {report} ({time.monotonic() - began:.0f} s).")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
