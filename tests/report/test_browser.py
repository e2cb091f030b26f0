"""The report in a real browser: it renders, zooms, filters, follows anchors and keys, and complains of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import Sever
from pytest_netfault.report.network_story import LinkStory, NetworkStory
from pytest_netfault.report.timeline import Flow, Timeline
from pytest_netfault.report.timeline_links import link_picture

pytest.importorskip("jinja2", reason="the report is drawn with Jinja2: pip install 'pytest-netfault[report]'")

from pytest_netfault.report.html import render

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
