"""Turns what a session knows into what people are shown: pictures as pages and as text, proofs as stories.

Rules of this file: pure, but that a missing extra is found out here; without Jinja2 there is no page, and the text says
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_netfault.report.terminal import ProofStory
from pytest_netfault.report.timeline_text import drawn

if TYPE_CHECKING:
    from pytest_netfault.proof.host import Verdict
    from pytest_netfault.report.timeline import Timeline

__all__ = ["PAGE", "drawing_of", "page_of", "proof_story"]

PAGE = "report.html"


def page_of(picture: Timeline | None) -> str:
    """The picture as a page; empty if there is none, or nothing to draw it with."""
    if picture is None:
        return ""
    from pytest_netfault.report.html import ReportNotPossible, render

    try:
        return render(picture)
    except ReportNotPossible:
        return ""


def drawing_of(picture: Timeline | None) -> str:
    """The picture in plain characters, if a fault is in it: without one the events say all there is."""
    if picture is None or not any(lane.kind == "faults" for lane in picture.lanes):
        return ""
    return drawn(picture)


def proof_story(verdict: Verdict) -> ProofStory:
    """What a failing test shows of a proof that it called."""
    page = next((str(path) for path in verdict.files if path.suffix == ".html"), "")
    more = f", and {verdict.times - 1:,} more on the way to it" if verdict.times > 1 else ""
    return ProofStory(f"{verdict.call}: {verdict.told}{more}", verdict.drawing, verdict.schedule, page)
