"""Measure the wrapper beside the plain `etcd3` client, on a real etcd and through links that break.

    python wrapper/benchmarks/measure.py                   # all of it: about four minutes, most of them outages
    python wrapper/benchmarks/measure.py calls scale       # some of: calls events backlog stores scale outages

Prints tables; asserts nothing. The two clients are measured alternately, so that a busy machine slows both.

A store always follows its root, so each write is delivered to the process that makes it, which costs that process some
time. `etcd3` does that only while it watches; so its writes are measured both with and without such a watch.
"""

# ruff: noqa: T201 - printing is what it does
from __future__ import annotations

import logging
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from runtime_config import STALE, SYNCED, ConfigStore, Key, Section
from runtime_config.compat import etcd3

from pytest_netfault import NetFault
from pytest_netfault.servers.etcd import find_etcd

LIMIT = Key("bench.limit", str)
ROUNDS, PER_ROUND = 20, 100


def plain(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return etcd3.client(host=host, port=int(port), timeout=10)


def timed(call: Callable[[], object], count: int) -> list[float]:
    out = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        out.append(time.perf_counter() - began)
    return out


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    samples: dict[str, list[float]] = {"ours": [], "theirs": []}
    for call in (ours, theirs):
        timed(call, 50)
    for _ in range(ROUNDS):
        samples["ours"] += timed(ours, PER_ROUND)
        samples["theirs"] += timed(theirs, PER_ROUND)
    mine, other = (statistics.median(samples[who]) * 1e6 for who in ("ours", "theirs"))
    print(f"  {name:<42} {mine:9.0f} us {other:9.0f} us   x {mine / other:.2f}")


def calls(address: str) -> None:
    print("p50 of a call                                      wrapper        etcd3")
    client = plain(address)
    with ConfigStore(address, root="/bench") as store:
        store.set(LIMIT, "100")
        compare("get", lambda: store.get(LIMIT), lambda: client.get("/bench/bench/limit"))
        compare("set / put", lambda: store.set(LIMIT, "100"), lambda: client.put("/bench2/limit", "100"))
        following = plain(address)
        following.add_watch_callback("/bench3/limit", lambda _: None)
        compare(
            "set / put of a key that is watched",
            lambda: store.set(LIMIT, "100"),
            lambda: client.put("/bench3/limit", "100"),
        )
        following.close()
        seen = [store.get(LIMIT)]

        def swap() -> None:
            seen[0] = store.compare_and_set(LIMIT, seen[0], "100")

        compare("compare_and_set / replace", swap, lambda: client.replace("/bench2/limit", "100", "100"))
    client.close()


def events(address: str) -> None:
    """From before the write until its delivery; then, how many per second when the writer does not wait."""
    print("a change on its way                                wrapper        etcd3")
    client = plain(address)
    with ConfigStore(address, root="/bench") as store, store.subscribe(LIMIT) as updates:
        updates.get(10)
        watched, cancel = client.watch("/bench2/limit")

        def ours() -> None:
            client.put("/bench/bench/limit", "1")
            updates.get(10)

        def theirs() -> None:
            client.put("/bench2/limit", "1")
            next(watched)

        compare("put to delivery", ours, theirs)
        count = 5000
        for name, key, take in (
            ("wrapper", "/bench/bench/limit", lambda: updates.get(30)),
            ("etcd3", "/bench2/limit", lambda: next(watched)),
        ):
            started = threading.Event()

            def write(key: str = key, started: threading.Event = started) -> None:
                writers = [plain(address) for _ in range(4)]
                started.set()
                threads = [
                    threading.Thread(target=lambda w=w: [w.put(key, "1") for _ in range(count // 4)])
                    for w in writers
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                for writer in writers:
                    writer.close()

            writer = threading.Thread(target=write)
            writer.start()
            started.wait()
            began = time.perf_counter()
            got = 0
            while got < count:
                take()
                got += 1
            print(f"  events/s through {name:<24} {got / (time.perf_counter() - began):9.0f}")
            writer.join()
        cancel()
    client.close()


def backlog(address: str, net: NetFault) -> None:
    """From the end of an outage until the subscriber has what was missed; `etcd3` is told where to go on, and that
    replies may be large."""
    print("what was missed                                    wrapper        etcd3")
    link = net.forward(address)
    writer = plain(address)
    with ConfigStore(link.address, root="/bench", dead_after=2.0) as store, store.subscribe(LIMIT) as updates:
        updates.get(10)
        for count, size in ((900, 10), (6, 1_000_000)):
            with link.sever():
                for _ in range(count):
                    writer.put("/bench/bench/limit", "x" * size)
            began = time.perf_counter()
            first = updates.get(30).revision
            for _ in range(count - 1):
                updates.get(30)
            ours = time.perf_counter() - began
            host, _, port = link.address.rpartition(":")
            began = time.perf_counter()
            client = etcd3.client(
                host=host, port=int(port), grpc_options={"grpc.max_receive_message_length": -1}.items()
            )
            watched, cancel = client.watch("/bench/bench/limit", start_revision=first)
            for _ in range(count):
                next(watched)
            theirs = time.perf_counter() - began
            cancel()
            client.close()
            print(f"  {f'{count} changes of {size} bytes':<42} {ours:9.2f} s  {theirs:9.2f} s")
    writer.close()


def stores(address: str) -> None:
    opened, closed = [], []
    for _ in range(200):
        began = time.perf_counter()
        store = ConfigStore(address, root="/bench")
        middle = time.perf_counter()
        store.close()
        opened.append(middle - began)
        closed.append(time.perf_counter() - middle)
    print(
        f"  open p50 {statistics.median(opened) * 1e3:.1f} ms, close p50 {statistics.median(closed) * 1e3:.1f} ms (200)"
    )


def scale(address: str) -> None:
    with ConfigStore(address, root="/scale") as store:
        for start in range(0, 1000, 100):
            with store.transaction() as txn:
                for number in range(start, start + 100):
                    txn.set(Key(f"s{number % 50}.k{number}", int), number)
        began = time.perf_counter()
        subscriptions = [store.subscribe(Section(f"s{number}")) for number in range(50)]
        for updates in subscriptions:
            updates.get(10)
        print(
            f"  50 subscriptions over 1,000 keys: {(time.perf_counter() - began) * 1e3:.0f} ms until all are served"
        )
        began, used = time.perf_counter(), time.process_time()
        for number in range(1000):
            store.set(Key(f"s{number % 50}.k{number}", int), -number)
        for updates in subscriptions:
            for _ in range(20):
                updates.get(10)
        took = time.perf_counter() - began
        print(
            f"  1,000 writes, each to its subscription of 50: {took:.2f} s, {time.process_time() - used:.2f} s of CPU"
        )


def outages(address: str, net: NetFault, lengths: tuple[float, ...]) -> None:
    for seconds in lengths:
        for what in ("sever", "blackhole"):
            link = net.forward(address)
            with ConfigStore(link.address, root="/bench") as store:
                store.wait_synced(10)
                events = {SYNCED: threading.Event(), STALE: threading.Event()}

                def told(state: object, events: dict[Any, threading.Event] = events) -> None:
                    if state in events:
                        events[state].set()

                store.on_state(told)
                fault = getattr(link, what)()
                began = time.perf_counter()
                if not events[STALE].wait(40):
                    print("  never noticed")
                noticed = time.perf_counter() - began
                used, at = time.process_time(), time.perf_counter()
                threading.Event().wait(seconds)
                share = (time.process_time() - used) / (time.perf_counter() - at)
                fault.heal()
                healed = time.perf_counter()
                events[SYNCED].wait(60)
                print(
                    f"  {what:<10} noticed after {noticed:6.2f} s; {seconds:g} s more: {share:5.1%} of a core; "
                    f"synced {time.perf_counter() - healed:.2f} s after the healing"
                )


def spinning(address: str, net: NetFault) -> None:
    """What a watch of `etcd3` does while the server is away."""
    link = net.forward(address)
    client = plain(link.address)
    client.add_watch_callback("/bench2/limit", lambda _: None)
    with link.sever():
        threading.Event().wait(0.5)
        used, at = time.process_time(), time.perf_counter()
        threading.Event().wait(3.0)
        share = (time.process_time() - used) / (time.perf_counter() - at)
    client.close()
    print(f"  etcd3's watch, while the server is away: {share:5.1%} of a core")


def hushed(args: threading.ExceptHookArgs) -> None:
    """A watch of `etcd3` ends with a traceback when its client is closed."""
    if args.thread is None or not args.thread.name.startswith("etcd3_watch"):
        threading.__excepthook__(args)


def main() -> None:
    threading.excepthook = hushed
    logging.getLogger("runtime_config").setLevel(logging.CRITICAL)
    wanted = sys.argv[1:] or ["calls", "events", "backlog", "stores", "scale", "outages"]
    server = find_etcd(None).start()
    try:
        with NetFault(seed=1) as net:
            for name in wanted:
                print(name)
                if name == "outages":
                    outages(server.address, net, (1.0, 10.0, 60.0))
                    spinning(server.address, net)
                elif name == "backlog":
                    backlog(server.address, net)
                else:
                    {"calls": calls, "events": events, "stores": stores, "scale": scale}[name](server.address)
    finally:
        server.close()


if __name__ == "__main__":
    main()
