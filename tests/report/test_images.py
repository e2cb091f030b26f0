"""The pictures in the documents: small, shown on a page, and each with a loss that the script draws again."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
PICTURES = sorted((DOCS / "images").glob("*.png"))
IMAGES = [picture for picture in PICTURES if not picture.stem.endswith("-dark")]
DARK = [picture for picture in PICTURES if picture.stem.endswith("-dark")]


def test_there_are_three_different_losses_and_the_script_knows_each() -> None:
    script = (DOCS / "images" / "draw.py").read_text(encoding="utf-8")
    names = re.findall(r'^        "([a-z-]+)",$', script, re.MULTILINE)
    assert len(names) >= 3
    assert sorted(names) == [image.stem for image in IMAGES]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: str(image.name))
def test_a_picture_is_small_and_shown_with_words(image: Path) -> None:
    data = image.read_bytes()
    assert len(data) < 200_000
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) >= (1000, 600)
    page = (DOCS / "how-to" / "reading-a-report.md").read_text(encoding="utf-8")
    (words,) = re.findall(rf"!\[([^\]]+)\]\(\.\./images/{re.escape(image.name)}\)", page)
    assert len(words) > 40


@pytest.mark.parametrize("image", DARK, ids=lambda image: str(image.name))
def test_a_dark_picture_is_shown_where_the_light_one_is(image: Path) -> None:
    assert len(image.read_bytes()) < 200_000
    light = image.name.replace("-dark", "")
    assert light in [one.name for one in IMAGES]
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    for name, shown in ((light, "only-light"), (image.name, "only-dark")):
        [words] = re.findall(rf"\{{image\}} images/{name}\n:class: {shown}\n(?:.+\n)*?:alt: (.+)\n", page)
        assert len(words) > 20


def test_the_page_that_the_picture_leads_to_is_kept() -> None:
    page = (DOCS / "live" / "written-while-severed.html").read_text(encoding="utf-8")
    assert "never arrived" in page
    assert "/tmp/" not in page
