"""The command: play the scenarios on every etcd at hand, print the table.

Which etcds: what pytest-netfault finds, the one that the variable NETFAULT_ETCD_CURRENT names, and those in
NETFAULT_TEST_ETCDS, separated by colons; or those named with --etcd.
"""

# ruff: noqa: T201 - printing is what it does
from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
from dataclasses import dataclass

from pytest_netfault.servers.etcd import EtcdServer, find_binary

from .oracle import Judgement
from .rows import ROWS, Row
from .scene import QUICK, REAL, Pace, Scene

CPU_BOUND = 0.10


@dataclass(frozen=True)
class Result:
    """How one row went on one server."""

    row: Row
    judgement: Judgement
    late: float
    cpu: float
    note: str = ""

    @property
    def wrong(self) -> list[str]:
        """Everything that is not as it has to be, in words; lateness and CPU are the caller's to judge."""
        found = list(self.judgement.wrong)
        if self.judgement.lost:
            found.append(f"lost: {list(self.judgement.lost)}")
        if self.judgement.doubled:
            found.append(f"delivered twice: {list(self.judgement.doubled)}")
        if self.judgement.told != self.row.told:
            found.append(f"told of {list(self.judgement.told)}, expected {list(self.row.told)}")
        return found


def play(row: Row, binary: str, pace: Pace) -> Result:
    """Play one scenario on a server of its own, and judge it. What a row itself finds wrong is an AssertionError."""
    with Scene(binary, pace) as scene:
        row.play(scene)
        return Result(row, scene.judge(), scene.measured.late, scene.measured.cpu, scene.note)


def binaries(named: list[str]) -> dict[str, str]:
    """Version to path, oldest first."""
    if not named:
        named = [
            str(find_binary()),
            os.environ.get("NETFAULT_ETCD_CURRENT", ""),
            *os.environ.get("NETFAULT_TEST_ETCDS", "").split(":"),
        ]
    found = {}
    for path in filter(None, named):
        with EtcdServer(path) as server:
            found[server.version] = path
    return dict(sorted(found.items(), key=lambda pair: [int(part) for part in pair[0].split(".")]))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scenarios", description=__doc__)
    parser.add_argument(
        "--etcd", action="append", default=[], metavar="PATH", help="an etcd binary; repeatable"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="ROW", choices=list(ROWS), help=", ".join(ROWS)
    )
    parser.add_argument("--quick", action="store_true", help="short outages, and dead_after=1")
    options = parser.parse_args(arguments)
    logging.getLogger("runtime_config").setLevel(logging.CRITICAL)
    pace = QUICK if options.quick else REAL
    servers = binaries(options.etcd)
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"dead_after={pace.dead_after:g}: lost / delivered twice, seconds until all was there, share of a core\n"
    )
    print("| scenario | told | " + " | ".join(f"etcd {version}" for version in servers) + " |")
    print("|---|---|" + "---|" * len(servers), flush=True)
    failures: list[str] = []
    for row in ROWS.values():
        if options.only and row.name not in options.only:
            continue
        cells = []
        for version, binary in servers.items():
            cell, wrong = attempt(row, binary, pace)
            cells.append(cell)
            failures += [f"{row.name} on {version}: {what}" for what in wrong]
        print(f"| {row.title} | {', '.join(row.told) or '-'} | " + " | ".join(cells) + " |", flush=True)
    print()
    for failure in failures:
        print(failure)
    print("all as promised" if not failures else f"{len(failures)} not as promised")
    return 1 if failures else 0


def attempt(row: Row, binary: str, pace: Pace) -> tuple[str, list[str]]:
    """One cell of the table, and what is wrong with it."""
    try:
        result = play(row, binary, pace)
    except Exception as error:  # whatever a row or the store says is what is wrong with it
        return "failed", [f"{type(error).__name__}: {error}"]
    wrong = result.wrong
    if result.late > row.within:
        wrong.append(f"took {result.late:.2f} s, and should take at most {row.within:g}")
    if result.cpu > CPU_BOUND and pace is REAL:
        wrong.append(f"{result.cpu:.0%} of a core")
    if result.note:
        print(f"{row.name}: {result.note}", file=sys.stderr)
    counts = f"{len(result.judgement.lost)} / {len(result.judgement.doubled)}"
    return f"{counts}, {result.late:.2f} s, {result.cpu:.1%}", wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
