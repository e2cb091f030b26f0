"""The pictures in the documents: small, shown on a page, and each with a loss that the script draws again."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
IMAGES = sorted((DOCS / "images").glob("*.png"))


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
