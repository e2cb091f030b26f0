"""The gallery: released clients of real servers, put through the proof and the sweeps.

    python -m docs.gallery.run                  all rows, one after the other; writes their results and the page
    python -m docs.gallery.run redis_pubsub     some of them
    python -m docs.gallery.run --page           the page alone, from the results that are there
    python -m docs.gallery.run --long ROW       a proof of 1,000 examples of some rows, beside what was played

Each row is played in a process of its own. One whose server or client this machine has not got is skipped, with the
reason; its last result stays.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.examples.programs import CannotBuild
from docs.gallery.page import page, table
from docs.gallery.play import LONG, PARTS, SEED, Budget, play
from docs.gallery.rows import ROWS, Row
from docs.gallery.servers.built import build, run
from docs.gallery.versions import version_of
from pytest_netfault.servers import ServerNotFound

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE / "index.md"
SKIPPED = 77  # as automake's


def main() -> int:
    parser = argparse.ArgumentParser(prog="docs.gallery.run")
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[[], *(row.name for row in ROWS)])
    parser.add_argument("--examples", type=int, default=Budget.examples, help="schedules of each proof")
    parser.add_argument("--seconds", type=float, default=Budget.seconds, help="seconds of each proof")
    parser.add_argument(
        "--part", action="append", choices=(*PARTS, LONG), help="play only this of each row; the rest stays"
    )
    parser.add_argument("--long", action="store_true", help=f"play a proof of {LONG} of these rows")
    parser.add_argument("--page", action="store_true", help="write the page from the results that are there")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    budget = Budget(options.examples, options.seconds)
    if options.here:
        return _play_here(_row(options.rows[0]), budget, options.part or PARTS)
    if options.long:
        options.part = [LONG]
    if not options.page:
        began = time.monotonic()
        for row in ROWS:
            if not options.rows or row.name in options.rows:
                _play_apart(row, budget, options.part or ())
        sys.stdout.write(f"all of it: {(time.monotonic() - began) / 60:.1f} minutes\n")
    found = results()
    PAGE.write_text(page(ROWS, found), encoding="utf-8")
    sys.stdout.write(table(ROWS, found) + "\n")
    return 0


def results() -> dict[str, dict[str, Any]]:
    """What was played, by the names of the rows."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))
    }


def _play_apart(row: Row, budget: Budget, parts: Sequence[str]) -> None:
    began = time.monotonic()
    amount = [f"--examples={budget.examples}", f"--seconds={budget.seconds}"]
    amount += [f"--part={part}" for part in parts]
    command = [sys.executable, "-m", "docs.gallery.run", "--here", *amount, row.name]
    try:
        environment = {**os.environ, **row.environment, **_installed_apart(row)}
    except ServerNotFound as missing:
        sys.stdout.write(f"{row.name}: skipped, {missing}\n")
        return
    done = subprocess.run(command, env=environment, cwd=HERE.parents[1], check=False)
    words = {0: "played", SKIPPED: "skipped"}.get(done.returncode, f"ended with {done.returncode}")
    sys.stdout.write(f"{row.name}: {words}, {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()


def _installed_apart(row: Row) -> dict[str, str]:
    """What makes the packages of one row be found before those of all."""
    if not row.apart:
        return {}

    def install(folder: Path) -> None:
        run(folder, sys.executable, "-m", "pip", "install", "--quiet", "--target", ".", *row.apart)

    folder = build(f"packages-{row.name}", " ".join((sys.version, *row.apart)), install)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def _play_here(row: Row, budget: Budget, parts: Sequence[str]) -> int:
    logging.disable(logging.CRITICAL)  # clients log each lost connection
    warnings.simplefilter("ignore")
    threading.excepthook = lambda _died: None  # threads of clients die with it
    began = time.monotonic()
    module, opens, version = row.server
    try:
        servers = importlib.import_module(f"docs.gallery.servers.{module}")
        store = importlib.import_module(f"docs.gallery.stores.{row.name}")
        server_version = getattr(servers, version)()
        with getattr(servers, opens)() as server:
            played = play(
                store.open_store,
                server,
                promise=row.promise,
                settle=row.settle,
                notice=row.notice,
                stride=row.stride,
                alone=row.alone,
                budget=budget,
                parts=parts,
            )
    except (CannotBuild, ServerNotFound, ModuleNotFoundError) as missing:
        sys.stdout.write(f"{row.name}: {missing}\n")
        return SKIPPED
    result = {
        "client": f"{row.client} {version_of(row)}",
        "server": server_version,
        "promise": row.promise,
        "seed": SEED,
    }
    load = round(os.getloadavg()[0], 1)
    there = results().get(row.name, {})
    if {**there, **result} == there:  # what was played with the same versions before
        result = there
    elif not set(PARTS) <= set(parts):
        sys.stdout.write(f"{row.name}: there is nothing of these versions to add to; play all of it\n")
        return SKIPPED
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    result |= {name: {**one.to_json(), "played": today, "load": load} for name, one in played.items()}
    if set(PARTS) <= set(parts):
        result["took"] = time.monotonic() - began
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{row.name}.json").write_text(text, encoding="utf-8")
    for name, one in played.items():
        sys.stdout.write(
            f"{row.name}, {name}: {one.verdict}, {one.figures} ({one.seconds:.0f} s)\n{one.story}\n"
        )
    return 0


def _row(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


if __name__ == "__main__":
    sys.exit(main())
