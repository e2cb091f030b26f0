"""The picture of a test that was written by hand: its faults, its connections, and what it said."""

from __future__ import annotations

import json
from dataclasses import replace

from pytest_netfault.events import LinkEvent, describe
from pytest_netfault.faults import Delay, Sever
from pytest_netfault.report.network_story import LinkStory, NetworkStory
from pytest_netfault.report.timeline_links import link_picture
from pytest_netfault.report.timeline_text import drawn

EVENTS = (
    LinkEvent(10.0, "etcd", "accepted", 1, "client", address="127.0.0.1:4001"),
    LinkEvent(10.0, "etcd", "connected", 1, "netfault"),
    LinkEvent(10.2, "etcd", "fault", by="netfault", fault=Delay(0.5), fault_id=1),
    LinkEvent(10.3, "etcd", "heal", by="netfault", fault=Delay(0.5), fault_id=1),
    LinkEvent(10.4, "etcd", "fault", by="netfault", fault=Sever(), fault_id=2),
    LinkEvent(10.401, "etcd", "fin", 1, "netfault", 457, 211, fault=Sever(), fault_id=2),
    LinkEvent(10.402, "etcd", "closed", 1, "netfault", 457, 211, fault=Sever(), fault_id=2),
)
STORY = LinkStory("etcd", "127.0.0.1:4000", "127.0.0.1:2379", 457, 211, (Sever(),), EVENTS)


def of(*links: LinkStory, wrong: str = "no") -> NetworkStory:
    """A test that used these links."""
    return NetworkStory(
        "t.py::test_a", 7, "t.py::test_a failed", wrong, "pytest t.py::test_a", 9.9, 11.0, links
    )


def test_it_shows_what_the_link_did_and_where_the_test_failed() -> None:
    drawing = link_picture(of(STORY, wrong="TimeoutError: late\nmore"))
    assert drawing.command == "pytest t.py::test_a"
    assert drawing.headline == "t.py::test_a failed"
    assert [lane.name for lane in drawing.lanes] == ["The test", "Faults", "Connections"]
    broke, wrong = drawing.cards
    assert broke.title == "Sever()"
    assert "closed connection #1 after 457 B up and 211 B down" in broke.text
    assert wrong.title == "TimeoutError: late"
    marks = {mark.id: mark for mark in drawing.marks}
    assert marks[broke.mark].tone == "culprit"
    assert marks[wrong.mark].start == drawing.ends
    assert "Sever()" in drawn(drawing)


def test_the_line_that_failed_and_the_line_of_the_fault_are_named() -> None:
    events = tuple(replace(event, source="t.py:8") if event.kind == "fault" else event for event in EVENTS)
    story = of(replace(STORY, events=events), wrong="AssertionError: no")
    told = replace(
        story, failed_at="t.py:12", source="assert answer == b'3'", facts=(("started", "2026-11-29"),)
    )
    broke, wrong = link_picture(told).cards
    assert broke.text.endswith("Applied at t.py:8.")
    assert (wrong.text, wrong.source) == ("After 1.10 s at t.py:12.", "assert answer == b'3'")
    assert ("started", "2026-11-29") in link_picture(told).facts
    assert NetworkStory.from_json(json.loads(json.dumps(told.to_json()))) == told
    unknown = link_picture(story).cards[-1]
    assert (unknown.text, unknown.source) == ("After 1.10 s.", "")


def test_a_fault_that_met_nothing_is_not_blamed() -> None:
    story = replace(STORY, events=EVENTS[:4])
    drawing = link_picture(of(story))
    assert [card.kind for card in drawing.cards] == ["missing"]
    assert not any(mark.tone == "culprit" for mark in drawing.marks)


def test_what_a_client_did_itself_is_blamed_on_no_fault() -> None:
    """The connection ends at the same time, right after the heal; only who ended it differs."""
    healed = LinkEvent(10.35, "etcd", "heal", by="netfault", fault=Sever(), fault_id=2)
    ours = LinkEvent(10.4, "etcd", "rst", 1, "netfault", 9, 9, fault=Sever(), fault_id=2)
    began = (*EVENTS[:2], replace(EVENTS[4], time=10.2), healed)

    def cards(end: LinkEvent) -> list[str]:
        story = replace(STORY, events=(*began, end))
        drawing = link_picture(of(story))
        return [card.kind for card in drawing.cards]

    assert cards(ours) == ["broke", "missing"]
    assert cards(replace(ours, by="client", fault=None, fault_id=None)) == ["missing"]
    assert cards(replace(ours, by="netfault", fault=None, fault_id=None)) == [
        "missing"
    ]  # a link that was closed


def test_a_fault_from_before_the_test_is_drawn_from_its_beginning() -> None:
    hit = LinkEvent(10.5, "etcd", "hit", 1, "netfault", 9, 9, fault=Delay(1), fault_id=7, direction="up")
    drawing = link_picture(of(replace(STORY, events=(hit,))))
    (mark,) = (mark for mark in drawing.marks if mark.label == "Delay(1)")
    assert (mark.start, mark.end) == (0.0, drawing.ends)
    assert [card.title for card in drawing.cards if card.kind == "broke"] == ["Delay(1)"]


def test_links_are_told_apart_and_silent_ones_are_left_out() -> None:
    others = [replace(STORY, name=f"link{number}", events=EVENTS if number else ()) for number in range(9)]
    drawing = link_picture(of(*others, wrong=""))
    names = [lane.name for lane in drawing.lanes]
    assert names[:3] == ["The test", "link1: faults", "link1: connections"]
    assert len(names) == 13
    assert not any(mark.tone == "bad" for mark in drawing.marks)


def test_a_test_without_events_can_be_drawn() -> None:
    drawing = link_picture(of(wrong=""))
    assert [mark.label for mark in drawing.marks] == ["begins", "over"]


def test_a_limit_is_said_where_it_is_said_what_the_fault_does() -> None:
    fault = Sever(connections=range(1, 3), seconds=2)
    events = (
        LinkEvent(10.2, "etcd", "fault", by="netfault", fault=fault, fault_id=1),
        LinkEvent(10.3, "etcd", "fin", 1, "netfault", 457, 211, fault=fault, fault_id=1),
        LinkEvent(10.9, "etcd", "heal", by="netfault", fault=fault, fault_id=1, detail="after 2 s", met=True),
    )
    (card,) = (card for card in link_picture(of(replace(STORY, events=events))).cards if card.kind == "broke")
    assert card.title == "Sever(seconds=2, connections=range(1, 3))"
    assert "new ones are refused, for connections 1 to 2, for at most 2 s" in card.text
    assert "heal Sever(seconds=2, connections=range(1, 3)) after 2 s" in describe(events[2])
