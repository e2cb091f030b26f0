"""The report in a real browser: it renders, zooms, filters, follows anchors and keys, and complains of nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Sever
from pytest_netfault.report.network_story import LinkStory, NetworkStory
from pytest_netfault.report.timeline import Flow, Mark, Timeline
from pytest_netfault.report.timeline_links import link_picture

pytest.importorskip("jinja2", reason="the report is drawn with Jinja2: pip install 'pytest-netfault[report]'")

from pytest_netfault.report.html import render
from pytest_netfault.report.index import write_index

pytestmark = pytest.mark.slow

# How many pixels of the picture are about as red as what is lost; read from a copy, for the browser complains of a
# canvas that is read again and again.
LOST_PIXELS = """
const chart = document.getElementById("chart"), copy = new OffscreenCanvas(chart.width, chart.height);
const drawing = copy.getContext("2d", {willReadFrequently: true});
drawing.drawImage(chart, 0, 0);
const data = drawing.getImageData(0, 0, chart.width, chart.height).data;
let found = 0;
for (let n = 0; n < data.length; n += 4)
  found += data[n] > 180 && data[n + 1] < 120 && data[n + 2] < 130 && data[n + 3] > 200;
return found;
"""
SHOWN = "return Number(document.getElementById('chart').dataset.shown)"
SELECTED = "return document.getElementById('selected').textContent"
TIP = "const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.textContent"
# Where in the window the fault is drawn: the first place that tells of it.
FAULT = """
const chart = document.getElementById("chart"), tip = document.getElementById("tip");
const box = chart.getBoundingClientRect();
for (let y = box.top; y < box.bottom; y += 5) for (let x = box.left; x < box.right; x += 5) {
  chart.dispatchEvent(new PointerEvent("pointermove", {clientX: x, clientY: y}));
  if (!tip.hidden && tip.textContent.includes("Sever()")) {
    chart.dispatchEvent(new PointerEvent("pointerleave"));
    return [Math.round(x) + 6, Math.round(y) + 6];
  }
}
"""


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a picture; whatever the browser complains of fails the test."""
    page = tmp_path / "report.html"

    def show(timeline: Timeline, anchor: str = "") -> Any:
        page.write_text(render(timeline), encoding="utf-8")
        browser.open(page, anchor)
        return browser

    yield show
    assert browser.complaints() == []
    browser.prefer("light")
    browser.width(0)


def test_the_loss_is_in_view_first(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small)
    assert browser.run(SHOWN) == 7
    assert browser.run(LOST_PIXELS) > 100
    assert "7 never arrived" in browser.run(SELECTED)


def test_nothing_is_red_where_nothing_is_lost(show: Callable[..., Any], small: Timeline) -> None:
    fine = replace(small, marks=tuple(replace(one, tone="good") for one in small.marks), flows=(), cards=())
    browser = show(fine)
    assert browser.run(SHOWN) == 7
    assert browser.run(LOST_PIXELS) == 0


def test_zoom_and_back(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small)
    for _ in range(4):
        browser.click("#closer")
    near = browser.run(SHOWN)
    assert 0 < near < 7
    browser.click("#farther")
    assert browser.run(SHOWN) >= near
    browser.click("#whole")
    assert browser.run(SHOWN) == 7


def test_the_axis_can_be_to_scale(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small)
    squeezed = browser.run(LOST_PIXELS)
    browser.click("#squeeze")
    assert browser.run(SHOWN) == 7
    assert browser.run(LOST_PIXELS) != squeezed
    browser.click("#squeeze")
    assert browser.run(LOST_PIXELS) == squeezed


def test_lanes_can_be_hidden(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small)
    browser.click("input.lane[value=arrived]")
    assert browser.run(SHOWN) == 5
    browser.click("input.lane[value=store]")
    assert browser.run(SHOWN) == 4
    browser.click("input.lane[value=arrived]")
    browser.click("input.lane[value=store]")
    assert browser.run(SHOWN) == 7


def test_with_all_lanes_hidden_it_is_empty_and_well(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small)
    browser.run("for (const box of document.querySelectorAll('input.lane')) box.click()")
    assert browser.run(SHOWN) == 0


def test_keys_go_from_event_to_event(show: Callable[..., Any], small: Timeline) -> None:
    home, end, right, left, escape = "\ue011", "\ue010", "\ue014", "\ue012", "\ue00c"
    browser = show(small)
    browser.press(home)
    assert "#1" in browser.run(SELECTED)
    browser.press(right, right)
    assert "put a = v1" in browser.run(SELECTED)
    assert "outcome: acknowledged" in browser.run(SELECTED)
    browser.press(left)
    assert "Sever()" in browser.run(SELECTED)
    browser.press(end)
    assert "8: put c" in browser.run(SELECTED)
    browser.press(escape)
    assert browser.run(SELECTED) == ""
    browser.press("+", "+", "+", "+")
    assert browser.run(SHOWN) < 7
    browser.press("0")
    assert browser.run(SHOWN) == 7


def test_an_anchor_leads_to_its_event(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small, "#e6")
    assert "put b = v2" in browser.run(SELECTED)
    assert "left open" in browser.run(SELECTED)
    assert browser.run("return document.querySelector('tr.chosen').id") == "e6"
    browser.click(".card.broke a")
    assert "Sever()" in browser.run(SELECTED)
    assert browser.run("return location.hash") == "#e2"


def test_hovering_tells_more(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small)
    x, y = browser.run(FAULT)
    browser.point(x, y)
    told = browser.run(TIP)
    assert "Sever()" in told
    assert "Faults" in told
    browser.point(5, 5)
    assert browser.run(TIP) == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(show: Callable[..., Any], small: Timeline, scheme: str) -> None:
    browser = show(small)
    browser.prefer(scheme)
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper.removeprefix("rgb(").rstrip(")").split(","))) > 384) is (scheme == "light")
    assert browser.run(LOST_PIXELS) > 100


def test_ten_thousand_events(show: Callable[..., Any], large: Timeline) -> None:
    browser = show(large)
    assert 0 < browser.run(SHOWN) < 100  # the surroundings of the loss
    assert browser.run(LOST_PIXELS) > 50
    browser.click("#whole")
    assert browser.run(SHOWN) == 10_000
    assert browser.run(LOST_PIXELS) > 50  # and it is not buried under the others
    browser.press("\ue010")
    assert "2499" in browser.run(SELECTED)
    assert browser.run("return document.querySelectorAll('tbody tr').length") == 10_000


def test_values_are_never_markup(show: Callable[..., Any], small: Timeline) -> None:
    evil = "</script><img src=x onerror='document.title=1'><!--"
    marks = (replace(small.marks[0], label=evil, details=((evil, evil),)), *small.marks[1:])
    browser = show(replace(small, headline=evil, marks=marks, paste=evil, facts=((evil, evil),)), "#e1")
    assert browser.run("return document.images.length") == 0
    assert browser.run("return document.title") == evil
    assert evil in browser.run(SELECTED)


def test_nothing_but_the_page_is_loaded(show: Callable[..., Any], small: Timeline) -> None:
    assert show(small).run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []


def test_ticks_can_be_told_apart(show: Callable[..., Any], large: Timeline) -> None:
    browser = show(large)
    hear = """
    const said = [], draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
      if (y === 13) said.push(text);
      draw.apply(this, arguments);
    };
    document.getElementById("closer").click();
    return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
      CanvasRenderingContext2D.prototype.fillText = draw;
      done(said.filter(text => / (s|ms|\u00b5s)$/.test(text)));
    })));
    """
    ticks = browser.run(hear)
    assert len(ticks) > 3
    assert len(set(ticks)) == len(ticks)


def test_the_way_of_what_came_twice_is_drawn(show: Callable[..., Any], small: Timeline) -> None:
    brown = LOST_PIXELS.replace(
        "data[n] > 180 && data[n + 1] < 120 && data[n + 2] < 130",
        "Math.abs(data[n] - 160) < 12 && Math.abs(data[n + 1] - 74) < 12 && data[n + 2] < 20",
    )
    assert show(small).run(brown) == 0
    again = replace(small, flows=(*small.flows, Flow(("e4", "e7"), wrong=True)))
    assert show(again).run(brown) > 50


HAND = """
const chart = document.getElementById("chart"), box = chart.getBoundingClientRect();
const at = {clientX: box.left + box.width * 0.6, clientY: box.top + 60, bubbles: true, cancelable: true, pointerId: 1};
chart.setPointerCapture = () => {};
"""


def test_the_wheel_zooms_and_a_drag_moves(show: Callable[..., Any], large: Timeline) -> None:
    browser = show(large)
    before = browser.run(SHOWN)
    zooms = "chart.dispatchEvent(new WheelEvent('wheel', {...at, ctrlKey: true, deltaY: %d}))"
    browser.run(HAND + zooms % -500)
    near = browser.run(SHOWN)
    assert 0 < near < before
    browser.run(HAND + zooms % 900)
    assert browser.run(SHOWN) > before
    browser.click("#loss")
    assert browser.run(LOST_PIXELS) > 50
    drag = "for (const [kind, by] of [['down', 0], ['move', -5000], ['up', -5000]])"
    browser.run(
        HAND
        + drag
        + "chart.dispatchEvent(new PointerEvent('pointer' + kind, {...at, clientX: at.clientX + by}))"
    )
    assert browser.run(LOST_PIXELS) < 50  # the loss is out of view
    browser.press("l")
    assert browser.run(LOST_PIXELS) > 50


def test_the_picture_of_a_test_is_well_too(show: Callable[..., Any]) -> None:
    events = (
        LinkEvent(1.0, "shop", "accepted", 1, "client", address="127.0.0.1:1"),
        LinkEvent(1.1, "shop", "fault", by="netfault", fault=Sever(), fault_id=1),
        LinkEvent(1.2, "shop", "fin", 1, "netfault", 5, 7, fault=Sever(), fault_id=1),
    )
    story = LinkStory("shop", "127.0.0.1:2", "127.0.0.1:3", 5, 7, (Sever(),), events)
    drawn = link_picture(
        NetworkStory("t", 7, "t failed", "TimeoutError: late", "pytest t", 0.9, 2.0, (story,))
    )
    browser = show(drawn)
    assert browser.run(SHOWN) == len(drawn.marks)
    assert "TimeoutError: late" in browser.run(SELECTED)
    assert browser.run("return document.getElementById('loss').textContent") == "What is wrong"


# What is written in the picture: each text with its place, the axis at y = 13, and how wide it is.
WRITTEN = """
const said = [], draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  if (this.canvas.id === "chart") {
    const w = this.measureText(text).width;
    said.push({text, y, left: x - (this.textAlign === "center" ? w / 2 : 0), width: w});
  }
  draw.apply(this, arguments);
};
dispatchEvent(new Event("afterprint"));  // draws at once
CanvasRenderingContext2D.prototype.fillText = draw;
return [said, document.getElementById("chart").drawn];
"""


@pytest.fixture
def crowd(small: Timeline) -> Timeline:
    """Marks that are close to each other, with labels that are long."""
    marks = [
        Mark(f"c{n}", lane, at, at, f"{n}: a label that is long", str(n), tone, shape)
        for n, (lane, at, tone, shape) in enumerate(
            (lane, 0.001 * place + 0.0001 * one, tone, shape)
            for lane, tone, shape in (
                ("store", "lost", "diamond"),
                ("arrived", "lost", "cross"),
                ("arrived", "good", "dot"),
            )
            for place in range(6)
            for one in range(2)
        )
    ]
    return replace(small, marks=(*small.marks, *marks))


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_no_label_touches_another_or_a_mark(show: Callable[..., Any], crowd: Timeline, width: int) -> None:
    browser = show(crowd)
    browser.width(width)
    written, drawn = browser.run(WRITTEN)
    labels = [one for one in written if one["y"] > 30 and one["left"] > (160 if width > 640 else 10)]
    assert len(labels) > 5
    boxes = [
        (one["text"], one["left"], one["y"] - 6, one["left"] + one["width"], one["y"] + 6) for one in labels
    ]
    frame = browser.run("return document.getElementById('chart').clientWidth")
    assert [text for text, left, _, right, _ in boxes if left < 0 or right > frame] == []
    signs = [
        (one["id"], x + 1, y + 1, x + w - 1, y + h - 1)
        for one in drawn
        if one["shape"] != "bar"
        for x, y, w, h in [one["box"]]
    ]
    touching = [
        (one[0], other[0])
        for place, one in enumerate(boxes)
        for other in [*boxes[place + 1 :], *signs]
        if one[1] < other[3] and one[3] > other[1] and one[2] < other[4] and one[4] > other[2]
    ]
    assert touching == []


def test_the_axis_has_the_failure_the_fault_and_the_lengths_of_pauses(
    show: Callable[..., Any], small: Timeline
) -> None:
    written, _ = show(small).run(WRITTEN)
    axis = {one["text"] for one in written if one["y"] == 13}
    assert {"14 ms", "10 ms", "30 ms"} <= axis  # never arrived; the fault came into force, and was healed
    assert {text for text in axis if text.startswith("+")} == {"+1.97 s"}


def test_the_selection_is_what_is_zoomed_into(show: Callable[..., Any], small: Timeline) -> None:
    browser = show(small, "#e7")
    for _ in range(3):
        browser.click("#closer")
    (box,) = browser.run(
        "return document.getElementById('chart').drawn.filter(one => one.id === 'e7').map(one => one.box)"
    )
    left, right = 168, browser.run("return document.getElementById('chart').clientWidth")
    assert abs(box[0] + box[2] / 2 - (left + right) / 2) < 3


def test_on_a_phone_names_stand_above_lanes_and_rows_are_stacked(
    show: Callable[..., Any], small: Timeline
) -> None:
    browser = show(small)
    browser.width(390)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    written, drawn = browser.run(WRITTEN)
    names = {one["text"]: one["y"] for one in written}
    for lane in small.lanes:
        of_lane = [mark.id for mark in small.marks if mark.lane == lane.id]
        assert all(one["box"][1] > names[lane.name] for one in drawn if one["id"] in of_lane)
    first, last = "td:nth-child(1)", "td:nth-child(4)"
    top = "return document.querySelector('#e3 %s').getBoundingClientRect().top"
    assert browser.run(top % last) > browser.run(top % first)
    browser.width(1280)
    assert browser.run(top % last) == browser.run(top % first)


def test_without_scripts_there_is_a_picture_in_plain_characters(
    show: Callable[..., Any], small: Timeline
) -> None:
    browser = show(small)
    shown = "return document.body.innerText.includes('# a fault holds')"
    assert not browser.run(shown)
    browser.tab("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.tab("Page.reload")
        page = browser.tab("Accessibility.getFullAXTree")
        said = " ".join(str(node.get("name", {}).get("value", "")) for node in page["nodes"])
    finally:
        browser.tab("Emulation.setScriptExecutionDisabled", value=False)
    assert "X 7 never arrived" in said
    assert "Drag to move" not in said


@pytest.mark.skipif(
    "NETFAULT_AXE" not in os.environ, reason="NETFAULT_AXE names no axe.min.js (npm pack axe-core)"
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(show: Callable[..., Any], small: Timeline, scheme: str, tmp_path: Path) -> None:
    browser = show(small, "#e2")
    browser.prefer(scheme)
    browser.run(Path(os.environ["NETFAULT_AXE"]).read_text(encoding="utf-8"))
    for width in (1280, 390):
        browser.width(width)
        found = browser.run("return axe.run(document).then(result => JSON.stringify(result.violations))")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in json.loads(found)] == []
    (tmp_path / "a test").mkdir()
    (tmp_path / "a test" / "report.html").write_text(render(small), encoding="utf-8")
    index = write_index(tmp_path)
    assert index is not None
    browser.open(index)
    browser.run(Path(os.environ["NETFAULT_AXE"]).read_text(encoding="utf-8"))
    found = browser.run("return axe.run(document).then(result => JSON.stringify(result.violations))")
    assert json.loads(found) == []
