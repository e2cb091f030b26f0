"""Pictures to draw, runs to draw them of, and a real browser to look at them."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import Delivered, Filter, LogEvent, Revision, StreamItem, Trace, TraceEvent
from pytest_netfault.checks.writes import judge_writes
from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Fault, Sever
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.recording import FaultRecord, Remark, WriteRecord
from pytest_netfault.report.timeline import Card, Flow, Lane, Mark, Timeline
from pytest_netfault.schedules import Break, Heal, Schedule, Subscribe, WaitForEvents, Write

LANES = (
    Lane("direct", "Another service writes", "calls"),
    Lane("store", "The store commits", "revisions"),
    Lane("faults", "Faults", "faults"),
    Lane("connections", "Connections", "connections"),
    Lane("arrived", "The subscriber gets", "deliveries"),
)


@pytest.fixture
def small() -> Timeline:
    """One of everything: a write, its revision, a fault, a connection, an unknown outcome, and a loss."""
    marks = (
        Mark("e1", "connections", 0.0, 0.020, "#1  10 B", "#1"),
        Mark("e2", "faults", 0.010, 0.030, "Sever()", tone="culprit", shade=(0.010, 0.030)),
        Mark("e3", "direct", 0.012, 0.014, "put a = v1", tone="good", details=(("outcome", "acknowledged"),)),
        Mark("e4", "store", 0.014, 0.014, "revision 7", "7", tone="lost", shape="diamond"),
        Mark("e5", "arrived", 0.014, 0.014, "7 never arrived", "7", tone="lost", shape="cross"),
        Mark("e6", "direct", 0.020, None, "put b = v2", tone="unknown", known=0.025),
        Mark("e7", "arrived", 2.0, 2.0, "8: put c = v3", "8", tone="good", shape="dot"),
    )
    return Timeline(
        headline="An update was lost: revision 7 never arrived",
        lanes=LANES,
        marks=marks,
        flows=(Flow(("e3", "e4", "e5"), lost=True),),
        cards=(
            Card("written", "put a = v1", "At 12 ms.", "e3"),
            Card("broke", "Sever()", "From 10 ms.", "e2"),
            Card("missing", "revision 7 never arrived", "Nothing was reported.", "e5"),
        ),
        facts=(("seed", "7"),),
        paste="Schedule([Subscribe(), Write('a')])",
    )


@pytest.fixture
def large() -> Timeline:
    """10,000 events, and a loss in the midst of them."""
    marks = []
    for n in range(2_500):
        at, lost = n * 0.002, n == 1_250
        tone: Any = "lost" if lost else "good"
        marks += [
            Mark(f"e{4 * n + 1}", "direct", at, at + 0.0004, f"put k{n} = v{n}", tone="good"),
            Mark(
                f"e{4 * n + 2}", "store", at + 0.0004, at + 0.0004, f"revision {n}", str(n), tone, "diamond"
            ),
            Mark(f"e{4 * n + 3}", "connections", at + 0.0004, at + 0.001, f"#{n}  9 B", f"#{n}"),
            Mark(f"e{4 * n + 4}", "arrived", at + 0.0006, at + 0.0006, f"{n}: put", str(n), tone, "dot"),
        ]
    flows = tuple(
        Flow((f"e{4 * n + 1}", f"e{4 * n + 2}", f"e{4 * n + 4}"), lost=n == 1_250) for n in range(2_500)
    )
    return Timeline(
        "An update was lost: revision 1250 never arrived",
        LANES,
        tuple(marks),
        flows,
        cards=(Card("missing", "revision 1250 never arrived", "Nothing was reported.", "e5004"),),
        focus=(2.49, 2.51),
    )


# -- runs -------------------------------------------------------------------------------------------------------

PREFIX = "r17."
SCHEDULE = Schedule(
    [Subscribe(), Write("a"), WaitForEvents(1), Break(Sever()), Write("a"), Heal(), Write("b")]
)


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """A run by hand: it begins at 100 s, and by default revision 3, written while the link is severed, is lost."""

    def make(
        *,
        fault: Fault | None = None,
        schedule: Schedule = SCHEDULE,
        handed: tuple[tuple[float, StreamItem], ...] | None = None,
        writes: tuple[WriteRecord, ...] | None = None,
        events: tuple[LinkEvent, ...] | None = None,
        remarks: tuple[Remark, ...] = (Remark(100.01, 1, "from revision 1"),),
    ) -> Run:
        fault = fault or Sever()
        log = tuple(
            Revision(number, (LogEvent("put", f"{PREFIX}{key}", value),))
            for number, key, value in ((2, "a", "v2"), (3, "a", "v5"), (4, "b", "v7"))
        )
        if handed is None:
            handed = ((100.03, delivered("a", "v2", 2)), (100.3, delivered("b", "v7", 4)))
        if writes is None:
            writes = (
                written(2, "a", "v2", 100.02, 100.025),
                written(5, "a", "v5", 100.05, 100.055),
                written(7, "b", "v7", 100.2, 100.21),
            )
        if events is None:
            events = (
                LinkEvent(100.0, "link", "accepted", 1, "client", address="127.0.0.1:4001"),
                LinkEvent(100.0, "link", "connected", 1, "netfault"),
                LinkEvent(100.04, "link", "fault", by="netfault", fault=fault, fault_id=1),
                LinkEvent(100.041, "link", "fin", 1, "netfault", 457, 211, "", fault, 1, "both"),
                LinkEvent(100.042, "link", "closed", 1, "netfault", 457, 211, "", fault, 1),
                LinkEvent(100.1, "link", "heal", by="netfault", fault=fault, fault_id=1),
                LinkEvent(100.15, "link", "accepted", 2, "client", address="127.0.0.1:4002"),
            )
        trace = Trace(
            "every-event",
            Filter(PREFIX),
            1,
            log,
            tuple(item for _, item in handed),
            quiet_at_end=True,
            initial={},
        )
        verdict, breakages = judge_trace(trace), judge_writes(writes, log)
        broken_writes = dict.fromkeys(one.guarantee for one in breakages)
        return Run(
            schedule=schedule,
            trace=trace,
            verdict=replace(verdict, broken=(*verdict.broken, *broken_writes), writes=breakages),
            writes=writes,
            faults=(FaultRecord(4, fault, True, 1),),
            server_troubles=0,
            remarks=remarks,
            events=events,
            traffic={1: (457, 211), 2: (10, 10)},
            began=100.0,
            ended=101.0,
            subscribed=True,
            closed=True,
            delivered_at=tuple(at for at, _ in handed),
        )

    return make


def delivered(key: str, value: str, revision: int) -> Delivered:
    return Delivered((TraceEvent("put", f"{PREFIX}{key}", value, revision),))


def written(place: int, key: str, value: str, begun: float, ended: float) -> WriteRecord:
    return WriteRecord(place, "direct", ((f"{PREFIX}{key}", value),), "ok", begun, ended)


# -- a browser --------------------------------------------------------------------------------------------------

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)


class Browser:
    """Chromium by the HTTP interface of its driver: the standard library is enough for it."""

    def __init__(self, port: int, profile: str, binary: str) -> None:
        self._base = f"http://127.0.0.1:{port}/session"
        options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"], "binary": binary}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._base += "/" + self._ask("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _ask(self, path: str, body: object = None, method: str = "POST") -> Any:
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        # Straight to the driver, whatever proxy the environment names.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=90) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path, anchor: str = "") -> None:
        self.complaints()
        self._ask("/url", {"url": "about:blank"})
        self._ask("/url", {"url": page.as_uri() + anchor})
        self.drawn()

    def drawn(self) -> None:
        """Until what was asked for is on the screen."""
        two_frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
        self._ask("/execute/async", {"script": two_frames, "args": []})

    def run(self, script: str) -> Any:
        """What a script returns, once the picture has followed."""
        value = self._ask("/execute/sync", {"script": script, "args": []})
        self.drawn()
        return value

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, *keys: str) -> None:
        """Type into the picture."""
        self.run("document.getElementById('chart').focus()")
        presses = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("/actions", {"actions": [{"type": "key", "id": "keys", "actions": presses}]})
        self.drawn()

    def point(self, x: int, y: int) -> None:
        """Move the mouse to a place in the window."""
        move = {"type": "pointerMove", "x": x, "y": y, "duration": 0}
        self._ask("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [move]}]})
        self.drawn()

    def tab(self, command: str, **parameters: object) -> Any:
        """A command of the protocol of Chromium's own tools."""
        return self._ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def width(self, pixels: int) -> None:
        """As on a screen of this width; 0 is the window's own."""
        self.tab(
            "Emulation.setDeviceMetricsOverride", width=pixels, height=0, deviceScaleFactor=0, mobile=False
        )
        self.drawn()

    def prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tab("Emulation.setEmulatedMedia", features=features)
        self.drawn()

    def screenshot(self) -> bytes:
        return base64.b64decode(self._ask("/screenshot", method="GET"))

    def complaints(self) -> list[str]:
        """What the console and the policy said since the last time."""
        return [entry["message"] for entry in self._ask("/se/log", {"type": "browser"})]

    def close(self) -> None:
        self._ask("", method="DELETE")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    if driver is None or binary is None:
        pytest.skip("no browser to look at the report with: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "successfully on port" in line)
            opened = Browser(int(line.rstrip().rstrip(".").rpartition(" ")[2]), profile, binary)
            try:
                yield opened
            finally:
                opened.close()
        finally:
            process.terminate()
            process.communicate()
