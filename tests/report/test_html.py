"""The page: well-formed, needing nothing else, small, and the same in words."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pytest_netfault.report.timeline import Timeline

pytest.importorskip("jinja2", reason="the report is drawn with Jinja2: pip install 'pytest-netfault[report]'")

from pytest_netfault.report.html import embedded, render

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """What stands in a page; a tag that is closed out of turn fails."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "action", "data", "srcset", "poster"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def test_it_is_well_formed_and_ids_are_unique(small: Timeline) -> None:
    outline = Outline(render(small))
    assert len(set(outline.ids)) == len(outline.ids)
    assert {mark.id for mark in small.marks} <= set(outline.ids)


def test_it_refers_to_nothing_outside(small: Timeline) -> None:
    page = render(small)
    assert re.findall(r"https?:|//[a-z]+\.|@import|url\(", page) == []
    outline = Outline(page)
    assert [link for link in outline.links if not link.startswith("#")] == ["data:,"]
    assert "default-src 'none'" in page
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)


@pytest.mark.slow
def test_it_is_small(small: Timeline, large: Timeline) -> None:
    assert len(render(small).encode()) < 50_000
    assert len(render(large).encode()) < 5_000_000


def test_it_says_everything_in_words(small: Timeline) -> None:
    words = " ".join(" ".join(Outline(render(small)).text).split())
    for mark in small.marks:
        assert " ".join(mark.label.split()) in words
    assert "Lost: 7 never arrived" in words
    assert "Here it broke: Sever()" in words
    assert "open The" in words or "open Another" in words  # the unknown outcome has no end
    assert "What never arrived" in words
    assert small.paste in words


def test_it_is_named_wrong_where_nothing_is_lost(small: Timeline) -> None:
    page = render(replace(small, flows=()))
    assert "What is wrong" in page
    assert "What never arrived" not in page


def test_the_picture_can_be_taken_out_again(small: Timeline) -> None:
    evil = replace(small, headline="</script><!-- \u2028 & \"'")
    assert embedded(render(evil)) == evil
    with pytest.raises(ValueError, match="shows no timeline"):
        embedded("<p>hello</p>")


def test_without_jinja2_one_sentence_names_the_extra() -> None:
    code = """
import sys
sys.modules["jinja2"] = None
from pytest_netfault.report.html import render
from pytest_netfault.report.timeline import Timeline
try:
    render(Timeline("", (), ()))
except RuntimeError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pytest-netfault[report]" in run.stdout
    assert len(run.stdout.splitlines()) == 1


@pytest.mark.slow
def test_jinja2_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, pytest_netfault.verify; print('jinja2' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
