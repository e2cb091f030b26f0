"""A timeline as one HTML file that needs nothing else: no network, no other file, no server.

Rules of this file:

* The page carries its own data, style and script, and a policy that forbids the browser to load anything.
* What comes from a run is escaped as text, or is JSON in which no ``<`` is left: a value that somebody stored cannot
  become markup or script.
* Without JavaScript the picture stands there in plain characters; and for those who cannot see it, the table below it
  says the same.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

from pytest_netfault.report.timeline import Mark, Timeline
from pytest_netfault.report.timeline_axis import squeezed_axis
from pytest_netfault.report.timeline_legend import SIGNS, legend
from pytest_netfault.report.timeline_text import drawn

__all__ = ["ReportNotPossible", "embedded", "render"]

# Of the picture in plain characters, which stands in the page for browsers without scripts.
_COLUMNS = 120
_MISSING = (
    "the timeline report is drawn with Jinja2, which is not installed: pip install 'pytest-netfault[report]'"
)


class ReportNotPossible(RuntimeError):
    """What draws the report is not installed; the message names the extra that brings it."""


def render(timeline: Timeline) -> str:
    """The page.

    Raises:
        ReportNotPossible: Jinja2 is not installed.
    """
    environment = _environment()
    marks: dict[str, list[Mark]] = {}
    for mark in timeline.marks:
        marks.setdefault(mark.lane, []).append(mark)
    data = {**timeline.to_json(), "axis": squeezed_axis(timeline)}
    page = environment.get_template("timeline.html").render(
        timeline=timeline,
        lanes={lane.id: lane.name for lane in timeline.lanes},
        legend=legend(timeline),
        signs=SIGNS,
        text=drawn(timeline, columns=_COLUMNS),
        data=_harmless(data),
        style=_text("timeline.css"),
        script=_text("timeline.js"),
    )
    return str(page)


def embedded(page: str) -> Timeline:
    """The timeline that a page shows, to draw it again.

    Raises:
        ValueError: the page has none.
    """
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    if found is None:
        raise ValueError("this page shows no timeline")
    return Timeline.from_json(json.loads(found[1]))


def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise ReportNotPossible(_MISSING) from error
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = _seconds
    return environment


def _text(name: str) -> str:
    return (files("pytest_netfault.report") / "templates" / name).read_text(encoding="utf-8")


def _harmless(data: object) -> str:
    """JSON that can stand inside a ``<script>``: nothing in it can end the element or begin a comment.

    >>> _harmless("</script>")
    '"\\\\u003c/script>"'
    """
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _seconds(time: float) -> str:
    """
    >>> _seconds(0.02466)
    '0.0247 s'
    """
    return f"{time:.4f} s"
