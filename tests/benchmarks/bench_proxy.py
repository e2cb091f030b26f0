"""Measure the proxy beside Toxiproxy and beside no proxy at all, in one run, with load generators of others.

    python tests/benchmarks/bench_proxy.py [--rounds 3] [--only bulk,latency,requests,connections,delay,...]

Each round measures every way in turn, so that a slow moment of the machine hits all of them; the table shows
medians over the rounds and their ratios. The last column is netfault in portable mode, where that makes a difference.
Needs ``redis-server``, ``redis-benchmark``, ``iperf3``, ``nginx`` and ``ab``; Toxiproxy is measured where it is
installed. Nothing is asserted here: figures are for people.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gc
import json
import math
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from peers import (
    INSTALL,
    NO_TOXIPROXY,
    iperf,
    missing,
    nginx,
    portable_link,
    redis,
    toxiproxy,
    toxiproxy_program,
)

from pytest_netfault import NetFault
from pytest_netfault.control import ProxyThread, net_on
from pytest_netfault.faults import Blackhole, Cut, Delay, Slice

Figures = dict[str, float]
WAYS = ("direct", "Toxiproxy", "netfault", "portable")


def bulk(host: str, port: int) -> float:
    """MB/s of iperf3, three seconds."""
    for _ in range(50):
        out = subprocess.run(
            ["iperf3", "-c", host, "-p", str(port), "-t", "3", "-J"], capture_output=True, text=True
        )
        answer = json.loads(out.stdout)
        if "sum_received" in answer["end"]:
            return float(answer["end"]["sum_received"]["bits_per_second"]) / 8e6
        time.sleep(0.1)  # it serves one client at a time, and is not yet done with the last one
    raise RuntimeError(answer["error"])


def redis_benchmark(host: str, port: int, clients: int, requests: int) -> dict[str, float]:
    out = subprocess.run(
        [
            "redis-benchmark",
            "-h",
            host,
            "-p",
            str(port),
            "-t",
            "get",
            "-c",
            str(clients),
            "-n",
            str(requests),
            "--csv",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    row = list(csv.DictReader(out.stdout.splitlines()))[-1]
    return {name: float(value) for name, value in row.items() if name != "test"}


def latency(host: str, port: int) -> float:
    """p50 of one connection in microseconds."""
    return redis_benchmark(host, port, 1, 20_000)["p50_latency_ms"] * 1000


def requests(host: str, port: int) -> float:
    """Requests a second over 100 connections."""
    return redis_benchmark(host, port, 100, 150_000)["rps"]


def connections(host: str, port: int) -> float:
    """Connections a second: ab without keep-alive, 20 at a time."""
    out = subprocess.run(
        ["ab", "-q", "-n", "5000", "-c", "20", f"http://{host}:{port}/"],
        capture_output=True,
        check=True,
        text=True,
    )
    line = next(line for line in out.stdout.splitlines() if line.startswith("Requests per second"))
    return float(line.split()[3])


@dataclass(frozen=True)
class Row:
    """One line of the table: what each way reached, and what we want."""

    what: str
    figures: Figures
    goal: str
    reached: bool | None  # None: there is no goal
    digits: int = 0
    ratios: bool = True

    def __str__(self) -> str:
        ours = self.figures["netfault"]
        cells = [self.figures.get(way, math.nan) for way in WAYS]
        shown = [f"{'-' if math.isnan(cell) else f'{cell:,.{self.digits}f}':>11}" for cell in cells]
        ratios = [ours / self.figures.get(way, math.nan) for way in ("Toxiproxy", "direct")]
        blank = not self.ratios
        shown += [f"{'-' if blank or math.isnan(ratio) else f'{ratio:.2f}':>9}" for ratio in ratios]
        verdict = {True: "reached", False: "missed", None: ""}[self.reached]
        return f"{self.what:34}{''.join(shown)}  {verdict:8} {self.goal}"


HEADER = f"{'':34}{''.join(f'{way:>11}' for way in WAYS)}{'/Toxi':>9}{'/direct':>9}  {'':8} goal"


def against(figures: Figures, way: str) -> float:
    return figures["netfault"] / figures.get(way, math.nan)


def medians(rounds: int, measures: dict[str, Callable[[], float]]) -> Figures:
    """Each measure once in each round, in turns."""
    seen: dict[str, list[float]] = {way: [] for way in measures}
    for _ in range(rounds):
        for way, measure in measures.items():
            seen[way].append(measure())
    return {way: statistics.median(values) for way, values in seen.items()}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


# -- the rows ------------------------------------------------------------------------------------------------


def through_each(
    rounds: int, server: Callable[[], AbstractContextManager[int]], measure: Callable[[str, int], float]
) -> Figures:
    with server() as port, toxiproxy() as toxi, NetFault(seed=1) as net, portable_link(port) as portable:
        ways = {"direct": port, "netfault": net.forward(port).port, "portable": portable}
        if toxi is not None:
            ways["Toxiproxy"] = toxi.forward(port)
        return medians(rounds, {way: lambda at=at: measure("127.0.0.1", at) for way, at in ways.items()})  # type: ignore[misc]


def bulk_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, iperf, bulk)
    reached = not against(seen, "Toxiproxy") < 2 and against(seen, "direct") >= 0.6
    yield Row("bulk, MB/s", seen, ">= 2 x Toxiproxy, >= 0.6 x direct", reached)


def latency_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, redis, latency)
    reached = not against(seen, "Toxiproxy") > 1.1
    yield Row("1 connection, p50, us", seen, "<= 1.1 x Toxiproxy", reached)


def requests_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, redis, requests)
    yield Row("100 connections, requests/s", seen, ">= 1.0 x Toxiproxy", not against(seen, "Toxiproxy") < 1)


def connections_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, nginx, connections)
    yield Row("connections/s", seen, ">= 1.2 x Toxiproxy", not against(seen, "Toxiproxy") < 1.2)


def delay_rows(rounds: int) -> Iterable[Row]:
    with iperf() as port, toxiproxy() as toxi, NetFault(seed=1) as net:
        link = net.forward(port)

        def ours_late() -> float:
            with link.delay(0.1):
                return bulk("127.0.0.1", link.port)

        measures = {"netfault": lambda: bulk("127.0.0.1", link.port), "netfault late": ours_late}
        if toxi is not None:
            listen = toxi.forward(port)

            def theirs_late() -> float:
                toxi.delay(listen, 100)
                try:
                    return bulk("127.0.0.1", listen)
                finally:
                    toxi.heal(listen)

            measures |= {"Toxiproxy": lambda: bulk("127.0.0.1", listen), "Toxiproxy late": theirs_late}
        seen = medians(rounds, measures)
    late = {way: seen[f"{way} late"] for way in ("netfault", "Toxiproxy") if way in seen}
    share = {way: late[way] / seen[way] for way in late}
    yield Row("bulk under delay(0.1), MB/s", late, "", None)
    yield Row("  of bulk without it", share, ">= 0.9", share["netfault"] >= 0.9, digits=2, ratios=False)


def control_rows(_: int) -> Iterable[Row]:
    calls: dict[str, dict[str, list[float]]] = {"apply": {}, "heal": {}}
    with redis() as port, toxiproxy() as toxi, NetFault(seed=1) as net, ExitStack() as stack:
        link = net.forward(port)

        def load(at: int) -> None:
            command = ["redis-benchmark", "-p", str(at), "-t", "get", "-c", "200", "-n", "100000000", "-q"]
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(child.wait)
            stack.callback(child.kill)

        def measure(way: str, apply: Callable[[], object], heal: Callable[[], object]) -> None:
            for name in calls:
                calls[name][way] = []
            for _ in range(600):
                calls["apply"][way].append(timed(apply))
                calls["heal"][way].append(timed(heal))

        with stack:
            load(link.port)
            link.wait_for_connection(200, timeout=60)
            link.wait_for_bytes(1_000_000, "down", timeout=60)
            measure("netfault", lambda: link.delay(0.001), link.heal)
            gc.disable()  # each full collection of the process stops it for some 10 ms
            measure("uncollected", lambda: link.delay(0.001), link.heal)
            gc.enable()
        if toxi is not None:
            listen = toxi.forward(port)
            with stack:
                load(listen)
                time.sleep(1)  # it cannot tell how many connections it has
                measure("Toxiproxy", lambda: toxi.delay(listen, 1), lambda: toxi.heal(listen))
    for name, what in (("apply", "a fault call"), ("heal", "a heal")):
        p99 = {way: percentile(values, 0.99) for way, values in calls[name].items()}
        p50 = {way: percentile(values, 0.5) for way, values in calls[name].items()}
        yield Row(f"{what}, 200 connections, p50, ms", p50, "", None, digits=2)
        yield Row(f"{what}, 200 connections, p99, ms", p99, "< 5 ms", p99["netfault"] < 5, digits=2)
        quiet = {"netfault": p99["uncollected"]}
        yield Row("  while Python collects no garbage", quiet, "", None, digits=2)


def crowd_rows(_: int) -> Iterable[Row]:
    """Fault calls and heals with 1,000 connections: all of them idle, and all of them under load."""
    for busy in (False, True):
        calls: dict[str, list[float]] = {"a fault call": [], "a heal": []}
        with redis() as port, NetFault(seed=1) as net, ExitStack() as stack:
            link = net.forward(port)
            if busy:
                command = [
                    "redis-benchmark",
                    "-p",
                    str(link.port),
                    "-t",
                    "get",
                    "-c",
                    "1000",
                    "-n",
                    "100000000",
                    "-q",
                ]
                child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                stack.callback(child.wait)
                stack.callback(child.kill)
                link.wait_for_bytes(100_000, "down", timeout=60)
            else:
                for _ in range(1000):
                    stack.enter_context(socket.create_connection((link.host, link.port)))
            link.wait_for_connection(1000, timeout=60)
            for fault in (Delay(0.001), Blackhole(), Slice(1000), Cut(10**12)) * 100:
                calls["a fault call"].append(timed(functools.partial(link.apply, fault)))
                calls["a heal"].append(timed(link.heal))
        for what, values in calls.items():
            name = f"{what}, 1,000 {'busy' if busy else 'idle'}"
            yield Row(f"{name}, p50, ms", {"netfault": percentile(values, 0.5)}, "", None, digits=2)
            p99 = percentile(values, 0.99)
            yield Row(f"{name}, p99, ms", {"netfault": p99}, "< 20 ms", p99 < 20, digits=2)


def stacked_rows(_: int) -> Iterable[Row]:
    """Many faults in force together: twice as many should take twice as long."""
    seconds: dict[int, float] = {}
    for count in (2000, 4000):
        with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=1) as net:
            link = net.forward(server.getsockname())
            with socket.create_connection((link.host, link.port)) as client, server.accept()[0] as upstream:
                start = time.perf_counter()
                held = [link.delay(0) for _ in range(count)]
                client.sendall(b"x")
                upstream.recv(1)
                for one in held:
                    one.heal()
                seconds[count] = time.perf_counter() - start
    yield Row("4,000 faults in force together, s", {"netfault": seconds[4000]}, "", None, digits=2)
    times = seconds[4000] / seconds[2000]
    yield Row("  of what 2,000 take", {"netfault": times}, "< 3", times < 3, digits=2, ratios=False)


def set_up_rows(_: int) -> Iterable[Row]:
    with socket.create_server(("127.0.0.1", 0)) as server, toxiproxy() as toxi:
        port = server.getsockname()[1]
        start = time.perf_counter()
        thread = ProxyThread()
        net = net_on(thread, 1)
        net.forward(port)
        first = (time.perf_counter() - start) * 1000
        forward = {"netfault": statistics.median([timed(lambda: net.forward(port)) for _ in range(200)])}
        net.close()
        if toxi is not None:
            forward["Toxiproxy"] = statistics.median([timed(lambda: toxi.forward(port)) for _ in range(200)])
        ups, downs = [], []
        for _ in range(200):
            start = time.perf_counter()
            one = net_on(thread, 1)
            one.forward(port)
            ups.append((time.perf_counter() - start) * 1000)
            downs.append(timed(one.close))
        thread.close()
    yield Row("the first link of a session, ms", {"netfault": first}, "< 200 ms", first < 200, digits=1)
    yield Row("forward(), p50, ms", forward, "< 3 ms", forward["netfault"] < 3, digits=2)
    for what, values in (("set-up of a NetFault and link", ups), ("its teardown", downs)):
        middle = statistics.median(values)
        yield Row(f"{what}, ms", {"netfault": middle}, "< 5 ms", middle < 5, digits=2)


def accuracy_rows(_: int) -> Iterable[Row]:
    asked = 0.02
    late: dict[str, list[float]] = {}

    def measure(way: str, port: int, server: socket.socket, less: float) -> None:
        late[way] = []
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as other:
            for _ in range(300):
                start = time.perf_counter()
                client.sendall(b"x")
                other.recv(1)
                late[way].append((time.perf_counter() - start - less) * 1000)

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        toxiproxy() as toxi,
        NetFault(seed=1) as net,
    ):
        port = server.getsockname()[1]
        link = net.forward(port)
        with link.delay(asked, direction="up"):
            measure("netfault", link.port, server, asked)
        measure("direct", port, server, 0)
        if toxi is not None:
            listen = toxi.forward(port)
            toxi.delay(listen, int(asked * 1000), down=False)
            measure("Toxiproxy", listen, server, asked)
    for name, share, goal in (("median", 0.5, 1), ("p99", 0.99, 5)):
        seen = {way: percentile(values, share) for way, values in late.items()}
        reached = -0.001 <= seen["netfault"] <= goal
        yield Row(
            f"delay(0.02) too late by, {name}, ms", seen, f"< {goal} ms", reached, digits=2, ratios=False
        )


ROWS: dict[str, Callable[[int], Iterable[Row]]] = {
    "bulk": bulk_row,
    "latency": latency_row,
    "requests": requests_row,
    "connections": connections_row,
    "delay": delay_rows,
    "control": control_rows,
    "crowd": crowd_rows,
    "stacked": stacked_rows,
    "setup": set_up_rows,
    "accuracy": accuracy_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(ROWS), help=f"of {', '.join(ROWS)}"
    )
    options = parser.parse_args()
    if unknown := set(options.only) - set(ROWS):
        parser.error(f"--only takes {', '.join(ROWS)}, not {', '.join(sorted(unknown))}")
    if lacking := missing():
        sys.exit(f"not on PATH: {', '.join(lacking)}; {INSTALL}")
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    print(
        f"{time.strftime('%Y-%m-%d')}, {machine}, load {os.getloadavg()[0]:.1f}; medians of {options.rounds}"
    )
    if toxiproxy_program() is None:
        print(NO_TOXIPROXY)
    print(HEADER, flush=True)
    for name in options.only:
        for row in ROWS[name](options.rounds):
            print(str(row).rstrip(), flush=True)


if __name__ == "__main__":
    main()
