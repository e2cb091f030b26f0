"""What was logged, on the timeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture import picture
from pytest_netfault.report.network_story import NetworkStory
from pytest_netfault.report.timeline_links import link_picture
from pytest_netfault.report.timeline_log import LogLine

LINES = (
    LogLine(9.0, 20, "INFO", "shop", "before the test"),
    LogLine(10.5, 30, "WARNING", "shop.client", "no answer,\ntrying again", "shop.py:7"),
    LogLine(10.7, 40, "ERROR", "shop.client", "gave up", "shop.py:9"),
    LogLine(12.0, 20, "INFO", "shop", "after the test"),
)


def test_records_of_the_test_have_a_lane() -> None:
    story = NetworkStory("t", 7, "t failed", "E", "pytest t", 10.0, 11.0, (), log=LINES)
    drawn = link_picture(story)
    assert [lane.name for lane in drawn.lanes] == ["The test", "Log"]
    logged = [mark for mark in drawn.marks if mark.lane == "log"]
    assert [(mark.start, mark.label, mark.tone) for mark in logged] == [
        (0.5, "WARNING shop.client: no answer, trying again", "plain"),
        (10.7 - 10.0, "ERROR shop.client: gave up", "bad"),
    ]
    assert ("message", "no answer,\ntrying again") in logged[0].details
    assert ("logged at", "shop.py:9") in logged[1].details
    assert NetworkStory.from_json(json.loads(json.dumps(story.to_json()))) == story


def test_without_records_there_is_no_lane() -> None:
    story = NetworkStory("t", 7, "t failed", "E", "pytest t", 10.0, 11.0, (), log=LINES[:1])
    assert [lane.name for lane in link_picture(story).lanes] == ["The test"]


def test_records_that_were_made_while_a_run_lasted_are_in_its_picture(make_run: Callable[..., Run]) -> None:
    lines = [replace(line, time=line.time + 90.2) for line in LINES]  # the run lasts from 100 to 101
    drawn = picture(make_run(), log=lines)
    assert [mark.short for mark in drawn.marks if mark.lane == "log"] == ["WARNING", "ERROR"]
    assert "Log of the process" in [lane.name for lane in drawn.lanes]
    assert picture(make_run()) == picture(make_run(), log=lines[:1])
