"""What the checkers take: time for traces of rising length, time and memory for the linearizability search.

    python tests/benchmarks/bench_checkers.py

Prints tables and asserts nothing. Seconds are CPU seconds of this process, because the machines that this runs on are
shared. For a judge that is linear the last column, time for each change, stays level. The garbage collector rests,
as it does under ``netfault judge``, except where a line says otherwise.

The register logs are those of a simulated register with five clients, some of which lose their replies; in half of
them one answer is falsified, so that both verdicts are measured.

The memory of the search is measured on histories that it gives up, each in a process of its own: the most that the
whole process had in memory, with the interpreter and the history.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_netfault.checks.document import read_document
from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.history import History
from pytest_netfault.checks.linearizability import check_linearizable
from pytest_netfault.checks.trace import Delivered, Filter, LogEvent, Promise, Revision, Trace, TraceEvent

HISTORIES = Path(__file__).parents[1] / "checks" / "histories"
LENGTHS = (10_000, 100_000, 1_000_000)
LOGS = 200
EVENTS = 200


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def subscription(length: int, promise: Promise, kind: str) -> Trace:
    """A log of single changes over 500 keys, delivered rightly, with every tenth lost, or all of it twice."""
    log = tuple(Revision(n + 2, (LogEvent("put", f"r.{n % 500}", str(n)),)) for n in range(length))
    handed = [Delivered((TraceEvent("put", f"r.{n % 500}", str(n), n + 2),)) for n in range(length)]
    if kind == "every tenth lost":
        del handed[5::10]
    elif kind == "all of it twice":
        handed = handed + handed
    return Trace(promise, Filter("r."), 1, log, tuple(handed), quiet_at_end=True)


def traces() -> None:
    print(f"\n{'trace':<14}{'stream':<20}{'changes':>10}{'CPU s':>10}{'us/change':>11}")
    promises: tuple[Promise, ...] = ("every-event", "latest-value")
    for promise in promises:
        for kind in ("right", "every tenth lost", "all of it twice"):
            for length in LENGTHS:
                trace = subscription(length, promise, kind)
                seconds, _ = timed(lambda trace=trace: judge_trace(trace))
                print(f"{promise:<14}{kind:<20}{length:>10,}{seconds:>10.3f}{seconds / length * 1e6:>11.2f}")
    gc.enable()
    seconds, _ = timed(lambda: judge_trace(trace))
    gc.disable()
    print(
        f"{'latest-value':<14}{'... with collector':<20}{length:>10,}{seconds:>10.3f}{seconds / length * 1e6:>11.2f}"
    )
    text = json.dumps(subscription(LENGTHS[-1], "every-event", "right").to_json())
    seconds, _ = timed(lambda: read_document(text))
    megabytes = len(text) / 1e6
    print(f"reading a file of {LENGTHS[-1]:,} changes ({megabytes:.0f} MB): {seconds:.3f} CPU s")


def register_log(seed: int, *, falsified: bool) -> History:
    """A log of a register that is right, but for one answer if it is falsified."""
    rng = random.Random(seed)
    value: Any = None
    events: list[dict[str, Any]] = []
    running: dict[int, dict[str, Any]] = {}
    names = list(range(5))
    answers: list[dict[str, Any]] = []
    while len(events) < EVENTS:
        idle = [name for name in names if name not in running]
        if idle and (not running or rng.random() < 0.5):
            name = rng.choice(idle)
            op = rng.choice(["read", "read", "write", "cas"])
            asked = {"write": rng.randrange(5), "cas": [rng.randrange(5), rng.randrange(5)]}.get(op)
            events.append({"process": name, "type": "invoke", "op": op, "value": asked})
            # The moment of effect lies between the two events: here, half of the time, else at the return.
            running[name] = {"op": op, "asked": asked, "done": None}
            if rng.random() < 0.5:
                value, running[name]["done"] = effect(value, running[name])
            continue
        name = rng.choice(sorted(running))
        one = running.pop(name)
        if rng.random() < 0.1:
            # The reply is lost: the client starts again under a new name.
            events.append({"process": name, "type": "info"})
            names[names.index(name)] = max(names) + 1
            continue
        if one["done"] is None:
            value, one["done"] = effect(value, one)
        kind, answer = one["done"]
        event = {"process": name, "type": kind, "op": one["op"]}
        if one["op"] == "read":
            event["value"] = answer
            answers.append(event)
        elif kind == "fail":
            event["result"] = "compare-failed"
        events.append(event)
    if falsified:
        rng.choice(answers)["value"] = rng.randrange(5, 8)
    return History.from_events(events)


def effect(value: Any, one: dict[str, Any]) -> tuple[Any, tuple[str, Any]]:
    if one["op"] == "read":
        return value, ("ok", value)
    if one["op"] == "write":
        return one["asked"], ("ok", None)
    source, target = one["asked"]
    return (target, ("ok", None)) if value == source else (value, ("fail", None))


def searches() -> None:
    print(
        f"\n{'histories':<30}{'number':>8}{'median ms':>11}{'p99 ms':>9}{'worst ms':>10}{'kept':>6}{'broken':>8}"
    )
    sets = {
        f"register, {EVENTS} events": [register_log(n, falsified=n % 2 == 1) for n in range(LOGS)],
        "recorded (tests/checks)": [
            History.from_lines(path.read_text(encoding="utf-8").split("\n"))
            for path in sorted(HISTORIES.glob("*/*.jsonl"))
        ],
    }
    for name, histories in sets.items():
        results = [timed(lambda one=one: check_linearizable(one)) for one in histories]
        times = sorted(seconds * 1e3 for seconds, _ in results)
        kept = sum(verdict.linearizable is True for _, verdict in results)
        broken = sum(verdict.linearizable is False for _, verdict in results)
        print(
            f"{name:<30}{len(times):>8}{statistics.median(times):>11.2f}{times[int(len(times) * 0.99)]:>9.2f}"
            f"{times[-1]:>10.2f}{kept:>6}{broken:>8}"
        )


def appends(number: int, size: int, *, end: str) -> History:
    """Appends under way together and an answer that no order of them explains: every order has to be tried."""
    values = [f"{n:05d}" * (size // 5) for n in range(number)]
    events = [
        {"process": n, "type": "invoke", "op": "append", "key": "k", "value": v} for n, v in enumerate(values)
    ]
    events.append({"process": "reader", "type": "invoke", "op": "get", "key": "k"})
    events += [{"process": n, "type": end} for n in range(number)]
    return History.from_events([*events, {"process": "reader", "type": "ok", "value": "never"}])


HARD: dict[str, Callable[[], History]] = {
    "20 concurrent appends of 1 kB": lambda: appends(20, 1_000, end="ok"),
    "2,000 unknown appends of 5 B": lambda: appends(2_000, 5, end="info"),
    "300 unknown appends of 1 kB": lambda: appends(300, 1_000, end="info"),
}


def memory() -> None:
    print(f"{'searches that are given up':<32}{'configurations':>14}{'CPU s':>8}{'peak MB':>9}")
    for name in HARD:
        subprocess.run([sys.executable, __file__, name], check=True)


def give_up(name: str) -> None:
    """In a process of its own: search this one, and print what it took."""
    history = HARD[name]()
    seconds, verdict = timed(lambda: check_linearizable(history))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    assert verdict.verdict == "inconclusive"
    print(f"{name:<32}{verdict.steps:>14,}{seconds:>8.1f}{megabytes:>9.0f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        gc.disable()
        give_up(sys.argv[1])
        sys.exit()
    print(f"Python {sys.version.split()[0]}")
    memory()  # first: a process begins with the peak of the one that started it
    gc.disable()
    traces()
    searches()
