"""What a page shows is in the JSON: in ``events.json`` beside it, and in the data inside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.events import EventKind, LinkEvent
from pytest_netfault.faults import Blackhole, Cut, Delay, Forget, Sever
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture import picture
from pytest_netfault.report.network_story import LinkStory, NetworkStory
from pytest_netfault.report.terminal import failure_text
from pytest_netfault.report.timeline import Timeline
from pytest_netfault.report.timeline_legend import legend
from pytest_netfault.report.timeline_links import link_picture
from pytest_netfault.report.timeline_text import drawn as in_characters

FAULTS = [None, Sever(), Cut(9, how="blackhole"), Delay(0.5, direction="up"), Forget(), Blackhole()]
events = st.builds(
    LinkEvent,
    time=st.floats(10, 11),
    link=st.just("etcd"),
    kind=st.sampled_from(get_args(EventKind)),
    connection=st.none() | st.integers(1, 3),
    by=st.sampled_from(["client", "upstream", "netfault"]),
    bytes_up=st.integers(0, 2**40),
    bytes_down=st.integers(0, 2**40),
    detail=st.sampled_from(["", "Connection refused"]),
    fault=st.sampled_from(FAULTS),
    fault_id=st.integers(1, 4),
    direction=st.sampled_from([None, "up", "down", "both"]),
    address=st.sampled_from(["", "127.0.0.1:80"]),
    met=st.sampled_from([None, True, False]),
)


@pytest.mark.slow
@given(st.lists(events, max_size=12))
def test_the_events_file_draws_the_same_picture_and_tells_the_same_story(happened: list[LinkEvent]) -> None:
    happened.sort(key=lambda event: event.time)
    link = LinkStory("etcd", "127.0.0.1:1", "127.0.0.1:2", 9, 8, (Sever(),), tuple(happened))
    story = NetworkStory("t.py::t", 7, "t failed", "TimeoutError: late", "pytest t.py", 9.9, 11.0, (link,))
    again = NetworkStory.from_json(json.loads(json.dumps(story.to_json())))
    assert again == story
    assert link_picture(again) == link_picture(story)
    told = [failure_text(seed=7, command="pytest", links=one.links, since=9.9) for one in (again, story)]
    assert told[0] == told[1]


def test_what_is_no_story_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="this is no story of a test: KeyError: 'links'"):
        NetworkStory.from_json({})
    with pytest.raises(ValueError, match="this is no story of a link: KeyError: 'in_force'"):
        LinkStory.from_json({})


class _Texts(HTMLParser):
    """The texts of a page outside its script and style, each cell and each attribute for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._skipped = ""

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        self._skipped = tag if tag in ("script", "style") else self._skipped

    def handle_endtag(self, tag: str) -> None:
        self._skipped = "" if tag == self._skipped else self._skipped

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._skipped:
            self.texts.append(data.strip())


def texts_of(page: str) -> set[str]:
    parser = _Texts()
    parser.feed(page)
    return set(parser.texts)


def test_the_data_inside_the_page_says_all_that_the_page_says(make_run: Callable[..., Run]) -> None:
    pytest.importorskip("jinja2", reason="the report is drawn with Jinja2")
    from pytest_netfault.report.html import embedded, render

    drawn = picture(make_run(), seed=7)
    page = render(drawn)
    assert embedded(page) == drawn
    assert render(embedded(page)) == page
    # What is on the page and not in the data is the same on every page.
    own = texts_of(render(Timeline("", drawn.lanes, drawn.marks[:1], drawn.flows[:0], drawn.cards[:0])))
    data = json.dumps(drawn.to_json(), ensure_ascii=False)
    strings = [*_strings(json.loads(data))]
    fixed = {"What was written", "Where the network broke", "What never arrived", "The loss", "Play it again"}
    fixed |= {"Facts", "Copy", "Lost:", "Here it broke:", "open"} | {entry.words for entry in legend(drawn)}
    fixed.add(in_characters(drawn, columns=120).strip())
    for text in texts_of(page) - own - fixed:
        parts = [part.partition(": ") for part in text.split("; ")] if text not in strings else []
        known = all(part[0] in strings and part[2] in strings for part in parts)
        assert text.endswith(" s") or known, text


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value.values()]
    return [one for each in value for one in _strings(each)] if isinstance(value, list) else []
