"""Measure ``netfault serve`` beside Toxiproxy and beside no proxy at all, in one run.

    python tests/benchmarks/bench_serve.py [--rounds 3] [--only bulk,latency,requests,connections,control]

The same load generators as for links, through a proxy of either server, in turns; and how long a request of the API
takes: while nothing flows, and while a reader of the proxy has stalled with everything full behind it. There Toxiproxy
answers no request that changes a toxic before 25 seconds are over, so it is not asked.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench_proxy import (
    HEADER,
    Figures,
    Row,
    against,
    bulk,
    connections,
    latency,
    medians,
    percentile,
    requests,
    timed,
)
from peers import INSTALL, NO_TOXIPROXY, Toxiproxy, iperf, missing, nginx, redis, toxiproxy, toxiproxy_program

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.serving import Serving

_CALLS = 500


@contextlib.contextmanager
def ours() -> Iterator[Toxiproxy]:
    """Our server, told what to do by the same client."""
    with Serving("--seed=1") as serving, contextlib.closing(Toxiproxy(serving.port)) as running:
        yield running


def through_each(
    rounds: int, server: Callable[[], AbstractContextManager[int]], measure: Callable[[str, int], float]
) -> Figures:
    with server() as port, toxiproxy() as toxi, ours() as netfault:
        ways = {"direct": port, "netfault": netfault.forward(port)}
        if toxi is not None:
            ways["Toxiproxy"] = toxi.forward(port)
        return medians(rounds, {way: lambda at=at: measure("127.0.0.1", at) for way, at in ways.items()})  # type: ignore[misc]


def bulk_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, iperf, bulk)
    reached = not against(seen, "Toxiproxy") < 2 and against(seen, "direct") >= 0.6
    yield Row("bulk, MB/s", seen, ">= 2 x Toxiproxy, >= 0.6 x direct", reached)


def latency_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, redis, latency)
    yield Row("1 connection, p50, us", seen, "<= 1.1 x Toxiproxy", not against(seen, "Toxiproxy") > 1.1)


def requests_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, redis, requests)
    yield Row("100 connections, requests/s", seen, ">= 1.0 x Toxiproxy", not against(seen, "Toxiproxy") < 1)


def connections_row(rounds: int) -> Iterable[Row]:
    seen = through_each(rounds, nginx, connections)
    yield Row("connections/s", seen, ">= 1.2 x Toxiproxy", not against(seen, "Toxiproxy") < 1.2)


def control_rows(_: int) -> Iterable[Row]:
    for stalled in (False, True):
        calls: dict[str, dict[str, list[float]]] = {"add": {}, "update": {}, "remove": {}, "list": {}}
        with socket.create_server(("127.0.0.1", 0)) as server, toxiproxy() as toxi, ours() as netfault:
            peers = {"netfault": netfault}
            if toxi is not None and not stalled:
                peers["Toxiproxy"] = toxi
            for way, peer in peers.items():
                listen = peer.forward(server.getsockname()[1])
                with socket.create_connection(("127.0.0.1", listen)), server.accept()[0] as sender:
                    if stalled:
                        fill(sender)
                    for name, seen in measured(peer, f"/proxies/p{listen}").items():
                        calls[name][way] = seen
        when = "behind a stalled reader" if stalled else "at rest"
        for name, by_way in calls.items():
            p50 = {way: percentile(values, 0.5) for way, values in by_way.items()}
            p99 = {way: percentile(values, 0.99) for way, values in by_way.items()}
            yield Row(f"{name}, {when}, p50, ms", p50, "", None, digits=2)
            yield Row(f"{name}, {when}, p99, ms", p99, "< 5 ms", p99["netfault"] < 5, digits=2)


def measured(peer: Toxiproxy, proxy: str) -> dict[str, list[float]]:
    """How long each request of the API takes."""
    toxic = {"type": "latency", "name": "t", "attributes": {"latency": 1}}
    seen: dict[str, list[float]] = {"add": [], "update": [], "remove": [], "list": []}
    for _ in range(_CALLS):
        seen["add"].append(timed(lambda: peer.ask("POST", f"{proxy}/toxics", toxic)))
        seen["update"].append(
            timed(lambda: peer.ask("POST", f"{proxy}/toxics/t", {"attributes": {"latency": 2}}))
        )
        seen["remove"].append(timed(lambda: peer.ask("DELETE", f"{proxy}/toxics/t")))
        seen["list"].append(timed(lambda: peer.ask("GET", "/proxies")))
    return seen


def fill(sock: socket.socket) -> None:
    """Send until nobody takes any more."""
    sock.setblocking(False)
    waited = 0
    while waited < 20:
        try:
            sock.send(bytes(1 << 20))
        except BlockingIOError:  # noqa: PERF203 - it is waiting, not working
            waited += 1
            time.sleep(0.01)


ROWS: dict[str, Callable[[int], Iterable[Row]]] = {
    "bulk": bulk_row,
    "latency": latency_row,
    "requests": requests_row,
    "connections": connections_row,
    "control": control_rows,
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
