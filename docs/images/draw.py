"""Draws the pictures of ``docs/how-to/reading-a-report.md`` anew: three losses that happen while this runs.

    python docs/images/draw.py            # needs an etcd, the extra "report", and chromium

Each loss is a schedule that is played against a client with a known flaw; its report is looked at with chromium and
what is then on the screen is kept beside this file. Names of revisions and times differ from run to run, the story
does not.
"""

# ruff: noqa: E402, T201 - a script that finds its examples first, and says what it drew

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))

from stores.naive_etcd3 import NaiveStore, _event

from pytest_netfault import Blackhole, Delivery, Reset, Sever, verify
from pytest_netfault.schedules import Break, Heal, Schedule, Subscribe, WaitForEvents, Write
from pytest_netfault.servers.etcd import find_etcd

WIDTH = 1280
CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--virtual-time-budget=2000",
)


class AgainFromTheLast(NaiveStore):
    """Goes on where it was, one too early: after each outage the last update is delivered twice."""

    def _watch(self, prefix: str, responses: Any, deliver: Callable[[Delivery], None]) -> None:
        last = None
        while not self._closed.is_set():
            try:
                if responses is None:
                    responses, self._cancel = self._etcd.watch_prefix_response(prefix, start_revision=last)
                for response in responses:
                    events = tuple(_event(event) for event in response.events)
                    deliver(Delivery(events=events))
                    last = max([last or 0, *(event.revision or 0 for event in events)])
            except Exception:
                threading.Event().wait(0.05)
            responses = None


# How a picture is drawn: what stands behind its name, and whether it is night.
DAY, NIGHT, DARK = ("", False), ("", True), ("-dark", True)
# Of this one the page itself is kept too, for the documentation's readers to try.
LIVE = "written-while-severed"
# A name, the client, the schedule, the height of the window, and how it is drawn.
LOSSES: tuple[tuple[str, type[NaiveStore], Schedule, int, tuple[tuple[str, bool], ...]], ...] = (
    (
        "written-while-severed",
        NaiveStore,
        Schedule(
            [
                Subscribe(),
                Write("a"),
                WaitForEvents(1),
                Break(Sever()),
                Write("a"),
                Heal(),
                Write("b"),
                WaitForEvents(),
            ]
        ),
        800,
        (DAY, DARK),
    ),
    (
        "delivered-twice",
        AgainFromTheLast,
        Schedule(
            [
                Subscribe(),
                Write("a"),
                WaitForEvents(1),
                Break(Reset()),
                WaitForEvents(2),
                Write("b"),
                WaitForEvents(),
            ]
        ),
        800,
        (DAY,),
    ),
    (
        "reply-in-a-black-hole",
        NaiveStore,
        Schedule(
            [
                Subscribe(),
                Write("a", via="link"),
                WaitForEvents(1),
                Break(Blackhole("down", on_heal="reset")),
                Write("b", via="link"),
                Write("c"),
                Heal(),
                Write("d"),
            ]
        ),
        840,
        (NIGHT,),
    ),
)


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("there is no chromium on PATH: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        server = find_etcd(None).start()
        try:
            for name, store, schedule, height, looks in LOSSES:
                reports = Path(scratch) / name
                try:
                    verify.replay(store, server, schedule, seed=1, settle=2.0, report_dir=reports)
                except verify.UpdateLost:
                    (page,) = reports.glob("*.html")
                    for suffix, night in looks:
                        picture = HERE / f"{name}{suffix}.png"
                        _look(
                            chromium, page, picture, height=height, night=night, profile=f"{scratch}/profile"
                        )
                        print(f"{picture}: {picture.stat().st_size // 1000} kB")
                    if name == LIVE:
                        live = page.read_text(encoding="utf-8").replace(str(reports), "netfault-reports")
                        (HERE.parent / "live" / f"{name}.html").write_text(live, encoding="utf-8")
                else:
                    print(f"{name}: nothing was lost this time, so its picture stays as it was")
        finally:
            server.close()
    return 0


def _look(chromium: str, page: Path, picture: Path, *, height: int, night: bool, profile: str) -> None:
    scheme = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if night else []
    subprocess.run(
        [
            chromium,
            *CHROMIUM,
            *scheme,
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{height}",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


if __name__ == "__main__":
    sys.exit(main())
