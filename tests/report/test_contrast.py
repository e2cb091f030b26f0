"""The colours of the page: every pair that meets has the contrast that WCAG 2 asks for (AA), by day and by night."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

STYLE = (files("pytest_netfault.report") / "templates" / "timeline.css").read_text(encoding="utf-8")
DAY, NIGHT = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root[^{]*\{([^}]*)\}", STYLE)[:2]
)
PAPERS = ("page", "panel", "stripe", "shade", "shade-loss")
TEXTS = ("ink", "quiet", "good", "unknown", "bad", "fault", "lost")


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_what_is_known_of_contrast() -> None:
    assert round(contrast("#c77700", "#ffffff"), 2) == 3.46
    assert round(contrast("#ffffff", "#000000")) == 21


@pytest.mark.parametrize("colours", [DAY, NIGHT], ids=["day", "night"])
def test_texts_can_be_read_on_whatever_they_stand_on(colours: dict[str, str]) -> None:
    poor = {
        (text, paper): round(contrast(colours[text], colours[paper]), 2)
        for text in TEXTS
        for paper in PAPERS
        if contrast(colours[text], colours[paper]) < 4.5
    }
    # On a bar stands text in the colour of the page; a bar is no paler than its own colour then.
    poor |= {
        (bar, "page"): contrast(colours[bar], colours["page"])
        for bar in ("good", "fault")
        if contrast(colours[bar], colours["page"]) < 4.5
    }
    assert poor == {}


@pytest.mark.parametrize("colours", [DAY, NIGHT], ids=["day", "night"])
def test_what_is_drawn_can_be_told_from_what_it_stands_on(colours: dict[str, str]) -> None:
    poor = {
        (sign, paper): round(contrast(colours[sign], colours[paper]), 2)
        for sign, papers in (("plain", PAPERS), ("focus", PAPERS), ("edge", ("page", "panel")))
        for paper in papers
        if contrast(colours[sign], colours[paper]) < 3
    }
    assert poor == {}


def test_no_colour_stands_outside_of_the_two_palettes() -> None:
    assert set(DAY) == set(NIGHT) >= {*PAPERS, *TEXTS}
    rest = re.sub(r":root[^{]*\{[^}]*\}", "", STYLE)
    assert re.findall(r"#[0-9a-f]{3,8}\b", rest) == []
