"""Sweeps every mutant by bytes and by frames: what each finds, and after how many plays.

    PYTHONPATH=tests python -m support.mutants.sweeps [NAME...] [--how rst] [--recovery]

The byte sweep of a mutant that it does not find goes on to its end, so all of them take about an hour on two cores. The
exit code is 1 if the byte sweep finds a mistake that the sweep by frames does not.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any, Literal

from pytest_netfault import Break, Heal, Schedule, Sever, Subscribe, WaitForEvents, Write, verify
from support.mutants import lines, toy
from support.mutants.subscribers import MUTANTS
from support.mutants.table import SETTLE_SECONDS

Places = Literal["bytes", "frames"]
RECOVERY = Schedule(
    [Write("a"), Subscribe(), Write("b"), WaitForEvents(), Break(Sever()), Write("b"), Heal(), Write("c")]
)


@dataclass(frozen=True)
class Swept:
    """What became of one sweep."""

    found: bool
    plays: int  # until it was found, or all
    of: int
    seconds: float


def sweep(kind: Any, places: Places, how: Any, scenario: Schedule | None = None) -> Swept:
    """Sweep one client on a server of its own."""
    last: list[verify.Progress] = []

    def follow(progress: verify.Progress) -> None:
        if progress.stage == "sweeping":
            last[:] = [progress]

    with lines.known(), toy.ToyServer() as server:
        try:
            verify.sweep(
                kind,
                server,
                scenario,
                places=places,
                how=how,
                promise=getattr(kind, "promise", "every-event"),
                settle=SETTLE_SECONDS,
                notice=None,
                seed=1,
                progress=follow,
            )
            found = False
        except verify.UpdateLost:
            found = True
        except verify.ProvedNothing:
            found = False
    if not last:  # the scenario as it is, without a cut
        return Swept(found, 0, 0, 0.0)
    return Swept(found, last[0].done, last[0].of or 0, last[0].seconds)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(MUTANTS), metavar="NAME")
    parser.add_argument("--how", nargs="+", default=["fin", "rst", "blackhole"])
    parser.add_argument("--recovery", action="store_true", help="sweep the recovery from a severed link")
    options = parser.parse_args(arguments)
    total = {"bytes": 0, "frames": 0}
    found = {"bytes": set[str](), "frames": set[str]()}
    for name in options.names:
        row = f"{name:<50}"
        for places in ("bytes", "frames"):
            one = sweep(MUTANTS[name], places, options.how, RECOVERY if options.recovery else None)
            total[places] += one.of
            if one.found:
                found[places].add(name)
            row += f" {places} {'found' if one.found else '-----'} {one.plays:>5} of {one.of:>5} {one.seconds:>6.1f} s"
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    sys.stdout.write(
        f"found by bytes: {len(found['bytes'])}, by frames: {len(found['frames'])}; places: {total['bytes']} bytes, "
        f"{total['frames']} frames ({total['frames'] / max(total['bytes'], 1):.3f})\n"
    )
    missed = sorted(found["bytes"] - found["frames"])
    sys.stdout.write(f"missed by frames: {', '.join(missed) or 'none'}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
