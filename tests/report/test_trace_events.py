"""A timeline as Chrome trace events: every mark is there, at its time, in its lane."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_netfault.cli.commands import main
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture import picture
from pytest_netfault.report.timeline import Timeline
from pytest_netfault.report.trace_events import trace_events


def test_every_mark_is_there_at_its_time_and_in_its_lane(make_run: Callable[..., Run]) -> None:
    drawn = picture(make_run(), seed=7)
    made = json.loads(json.dumps(trace_events(drawn)))
    lanes = {
        event["tid"]: event["args"]["name"] for event in made["traceEvents"] if event["name"] == "thread_name"
    }
    shown = {
        event["args"]["event"]: event for event in made["traceEvents"] if "event" in event.get("args", {})
    }
    assert shown.keys() == {mark.id for mark in drawn.marks}
    names = {lane.id: lane.name for lane in drawn.lanes}
    for mark in drawn.marks:
        event = shown[mark.id]
        assert event["ts"] == pytest.approx(mark.start * 1e6, abs=0.01)
        assert event["name"] == mark.label
        assert lanes[event["tid"]].startswith(names[mark.lane])
        assert event["ph"] == ("i" if mark.end == mark.start else "X")
        if mark.end is not None and mark.end > mark.start:
            assert event["dur"] == pytest.approx((mark.end - mark.start) * 1e6, abs=0.01)
    assert made["otherData"]["seed"] == "7"


def test_the_way_of_an_update_is_a_chain_that_begins_and_ends(small: Timeline) -> None:
    events = trace_events(small)["traceEvents"]
    assert [event["ph"] for event in events if event["ph"] in "stf"] == ["s", "t", "f"]
    starts = {(event["tid"], event["ts"]) for event in events if event["ph"] == "X"}
    assert all((event["tid"], event["ts"]) in starts for event in events if event["ph"] in "stf")


def test_what_is_left_open_lasts_until_the_end_and_says_so(small: Timeline) -> None:
    (event,) = (one for one in trace_events(small)["traceEvents"] if one.get("args", {}).get("event") == "e6")
    assert (event["dur"], event["args"]["end"]) == (pytest.approx(1_980_000.0), "left open")


def test_the_command_writes_it_beside_the_page(
    small: Timeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jinja2", reason="the page is drawn with Jinja2")
    from pytest_netfault.report.html import render

    page = tmp_path / "report.html"
    page.write_text(render(small), encoding="utf-8")
    assert main(["export", str(page)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "report.trace")]
    assert json.loads((tmp_path / "report.trace").read_text(encoding="utf-8")) == json.loads(
        json.dumps(trace_events(small))
    )
    assert main(["export", str(page), "--output", str(tmp_path / "x.json")]) == 0
    assert (tmp_path / "x.json").is_file()


@pytest.mark.parametrize("content", [None, "<p>hello</p>"])
def test_what_is_no_page_is_one_sentence(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "a.html"
    if content is not None:
        page.write_text(content, encoding="utf-8")
    assert main(["export", str(page)]) == 2
    complaint = capsys.readouterr().err
    assert str(page) in complaint
    assert len(complaint.splitlines()) == 1
    assert main(["export", str(page), str(page), "--output", "x"]) == 2
