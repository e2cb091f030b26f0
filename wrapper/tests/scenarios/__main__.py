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

from .catalogue import SCENARIOS, Scenario
from .harness import QUICK, REAL, Harness, Timing
from .oracle import Judgement

CPU_BOUND = 0.10


@dataclass(frozen=True)
class Result:
    """How one scenario went on one server."""

    scenario: Scenario
    judgement: Judgement
    recovery: float
    cpu: float
    note: str = ""

    @property
    def wrong(self) -> list[str]:
        """Everything that is not as promised, in words; recovery time and CPU are judged by the caller."""
        found = list(self.judgement.wrong)
        if self.judgement.lost:
            found.append(f"lost: {list(self.judgement.lost)}")
        if self.judgement.duplicated:
            found.append(f"delivered twice: {list(self.judgement.duplicated)}")
        if self.judgement.resyncs != self.scenario.resyncs:
            found.append(f"resynced {list(self.judgement.resyncs)}, expected {list(self.scenario.resyncs)}")
        return found


def play(scenario: Scenario, binary: str, timing: Timing) -> Result:
    """Play one scenario on a server of its own, and judge it. What it finds wrong itself is an AssertionError."""
    with Harness(binary, timing) as harness:
        scenario.play(harness)
        measured = harness.measured
        return Result(scenario, harness.judge(), measured.recovery, measured.cpu, harness.note)


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
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        choices=list(SCENARIOS),
        help=", ".join(SCENARIOS),
    )
    parser.add_argument("--quick", action="store_true", help="short outages, and dead_after=1")
    options = parser.parse_args(arguments)
    logging.getLogger("runtime_config").setLevel(logging.CRITICAL)
    timing = QUICK if options.quick else REAL
    servers = binaries(options.etcd)
    print(
        f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"dead_after={timing.dead_after:g}: lost / delivered twice, seconds until recovered, share of a core\n"
    )
    print("| scenario | resynced | " + " | ".join(f"etcd {version}" for version in servers) + " |")
    print("|---|---|" + "---|" * len(servers), flush=True)
    failures: list[str] = []
    for scenario in SCENARIOS.values():
        if options.only and scenario.name not in options.only:
            continue
        cells = []
        for version, binary in servers.items():
            cell, wrong = attempt(scenario, binary, timing)
            cells.append(cell)
            failures += [f"{scenario.name} on {version}: {what}" for what in wrong]
        print(
            f"| {scenario.title} | {', '.join(scenario.resyncs) or '-'} | " + " | ".join(cells) + " |",
            flush=True,
        )
    print()
    for failure in failures:
        print(failure)
    print("all as promised" if not failures else f"{len(failures)} not as promised")
    return 1 if failures else 0


def attempt(scenario: Scenario, binary: str, timing: Timing) -> tuple[str, list[str]]:
    """One cell of the table, and what is wrong with it."""
    try:
        result = play(scenario, binary, timing)
    except Exception as error:  # whatever the scenario or the store raises is what is wrong with it
        return "failed", [f"{type(error).__name__}: {error}"]
    wrong = result.wrong
    if result.recovery > scenario.within:
        wrong.append(f"took {result.recovery:.2f} s, and should take at most {scenario.within:g}")
    if result.cpu > CPU_BOUND and timing is REAL:
        wrong.append(f"{result.cpu:.0%} of a core")
    if result.note:
        print(f"{scenario.name}: {result.note}", file=sys.stderr)
    counts = f"{len(result.judgement.lost)} / {len(result.judgement.duplicated)}"
    return f"{counts}, {result.recovery:.2f} s, {result.cpu:.1%}", wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
