"""Measure the proxy beside Toxiproxy and beside no proxy at all, in one run, with load generators of others.

    python tests/benchmarks/bench_proxy.py [--rounds 3] [--only bulk,latency,...]

Each round measures every way in turn, so that a slow moment of the machine hits all of them; the table shows
medians and their ratios. Needs ``redis-server``, ``redis-benchmark``, ``iperf3``, ``nginx`` and ``ab`` (Debian packages
redis-server, iperf3, nginx and apache2-utils); Toxiproxy is measured where its server is on PATH or in ~/go/bin.
Nothing is asserted here: figures are for people.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_netfault import NetFault

Measure = Callable[[str, int], float]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_served(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:  # noqa: PERF203 - it is waiting, not working
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def process(*command: str) -> Iterator[None]:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


@contextlib.contextmanager
def redis() -> Iterator[int]:
    port = free_port()
    with process("redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"):
        wait_until_served(port)
        yield port


@contextlib.contextmanager
def iperf() -> Iterator[int]:
    port = free_port()
    with process("iperf3", "-s", "-B", "127.0.0.1", "-p", str(port)):
        wait_until_served(port)
        yield port


@contextlib.contextmanager
def nginx() -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        conf = Path(home, "nginx.conf")
        conf.write_text(
            f"daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1; user root;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }} }}\n"
        )
        with process("nginx", "-c", str(conf), "-p", home):
            wait_until_served(port)
            yield port


def toxiproxy_server() -> str | None:
    for name in (
        "toxiproxy-server",
        str(Path.home() / "go/bin/toxiproxy-server"),
        str(Path.home() / "go/bin/server"),
    ):
        if found := shutil.which(name):
            return found
    return None


@contextlib.contextmanager
def toxiproxy() -> Iterator[Callable[[int], int] | None]:
    server = toxiproxy_server()
    if server is None:
        yield None
        return
    api = free_port()
    with process(server, "-host", "127.0.0.1", "-port", str(api)):
        wait_until_served(api)

        def forward(port: int) -> int:
            listen = free_port()
            body = json.dumps(
                {"name": f"p{listen}", "upstream": f"127.0.0.1:{port}", "listen": f"127.0.0.1:{listen}"}
            )
            request = urllib.request.Request(f"http://127.0.0.1:{api}/proxies", body.encode(), method="POST")
            urllib.request.urlopen(request).close()
            return listen

        yield forward


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


# What is measured, on which server, whether more is better, and what we want to reach.
ROWS: dict[str, tuple[Measure, Callable[[], contextlib.AbstractContextManager[int]], bool, str]] = {
    "bulk MB/s": (bulk, iperf, True, ">= 2 x Toxiproxy, >= 0.6 of direct"),
    "1 connection, p50 us": (latency, redis, False, "<= 1.1 x Toxiproxy"),
    "100 connections, requests/s": (requests, redis, True, ">= 1.0 x Toxiproxy"),
    "connections/s": (connections, nginx, True, ">= 1.2 x Toxiproxy"),
}


def compare(rounds: int, only: set[str] | None) -> None:
    print(f"{'':30} {'direct':>10} {'Toxiproxy':>10} {'netfault':>10} {'/Toxi':>7} {'/direct':>8}  goal")
    for name, (measure, server, _, goal) in ROWS.items():
        if only is not None and not any(word in name for word in only):
            continue
        with server() as port, toxiproxy() as toxi, NetFault(seed=1) as net:
            ways = {"direct": port, "netfault": net.forward(port).port}
            if toxi is not None:
                ways["Toxiproxy"] = toxi(port)
            figures: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, at in ways.items():
                    figures[way].append(measure("127.0.0.1", at))
        median = {way: statistics.median(values) for way, values in figures.items()}
        toxi_figure = median.get("Toxiproxy", math.nan)
        print(
            f"{name:30} {median['direct']:>10,.0f} {toxi_figure:>10,.0f} {median['netfault']:>10,.0f}"
            f" {median['netfault'] / toxi_figure:>7.2f} {median['netfault'] / median['direct']:>8.2f}  {goal}",
            flush=True,
        )


def bulk_under_delay(rounds: int) -> None:
    with iperf() as port, NetFault(seed=1) as net:
        link = net.forward(port)
        plain, delayed = [], []
        for _ in range(rounds):
            plain.append(bulk("127.0.0.1", link.port))
            with link.delay(0.1):
                delayed.append(bulk("127.0.0.1", link.port))
        without, under = statistics.median(plain), statistics.median(delayed)
    print(f"bulk under delay(0.1): {under:,.0f} of {without:,.0f} MB/s, {under / without:.2f}  goal >= 0.9")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def control_calls() -> None:
    with redis() as port, NetFault(seed=1) as net:
        link = net.forward(port)
        load = subprocess.Popen(
            ["redis-benchmark", "-p", str(link.port), "-t", "get", "-c", "200", "-n", "100000000", "-q"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            link.wait_for_connection(200)
            link.wait_for_bytes(1_000_000, "down", timeout=30)
            apply, heal = [], []
            for _ in range(300):
                start = time.perf_counter()
                fault = link.delay(0.001)
                middle = time.perf_counter()
                fault.heal()
                end = time.perf_counter()
                apply.append((middle - start) * 1000)
                heal.append((end - middle) * 1000)
        finally:
            load.kill()
            load.wait()
    for what, values in (("a fault call", apply), ("a heal", heal)):
        print(
            f"{what}, 200 connections under load: p50 {percentile(values, 0.5):.2f} ms,"
            f" p99 {percentile(values, 0.99):.2f} ms  goal p99 < 5 ms"
        )


def set_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        start = time.perf_counter()
        net = NetFault(seed=1)
        net.forward(address)
        first = (time.perf_counter() - start) * 1000
        forwards = []
        for _ in range(200):
            start = time.perf_counter()
            net.forward(address)
            forwards.append((time.perf_counter() - start) * 1000)
        net.close()
        whole = []
        for _ in range(100):
            start = time.perf_counter()
            with NetFault(seed=1) as one:
                one.forward(address)
            whole.append((time.perf_counter() - start) * 1000)
    print(
        f"first NetFault and link {first:.1f} ms (goal < 200 ms); forward() p50 {statistics.median(forwards):.2f} ms"
        f" (goal < 3 ms); NetFault with a thread of its own, up and down, p50 {statistics.median(whole):.2f} ms"
        " (goal < 10 ms)"
    )


def delay_accuracy() -> None:
    asked = 0.02
    late: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server, NetFault(seed=1) as net:
        link = net.forward(server.getsockname())
        client = socket.create_connection((link.host, link.port))
        other, _ = server.accept()
        with link.delay(asked, direction="up"), client, other:
            for _ in range(300):
                start = time.perf_counter()
                client.sendall(b"x")
                other.recv(1)
                late.append((time.perf_counter() - start - asked) * 1000)
    print(
        f"delay(0.02): median +{statistics.median(late):.2f} ms, p99 +{percentile(late, 0.99):.2f} ms"
        "  goal +1 ms, +5 ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=lambda text: set(text.split(",")), default=None)
    options = parser.parse_args()
    missing = [
        tool
        for tool in ("redis-server", "redis-benchmark", "iperf3", "nginx", "ab")
        if not shutil.which(tool)
    ]
    if missing:
        sys.exit(
            f"not on PATH: {', '.join(missing)}; on Debian: apt-get install redis iperf3 nginx apache2-utils"
        )
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}")
    compare(options.rounds, options.only)
    parts: dict[str, Callable[[], None]] = {
        "delay": lambda: bulk_under_delay(options.rounds),
        "control": control_calls,
        "setup": set_up,
        "accuracy": delay_accuracy,
    }
    for name, part in parts.items():
        if options.only is None or name in options.only:
            part()
    assert threading.active_count() == 1, threading.enumerate()


if __name__ == "__main__":
    main()
