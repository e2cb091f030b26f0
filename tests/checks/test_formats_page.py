"""The examples of the formats page are files that can be judged, with the verdicts that its text implies."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from pytest_netfault.checks.guarantees import GUARANTEES
from pytest_netfault.checks.models import MODELS
from pytest_netfault.checks.writes import WRITE_GUARANTEES
from pytest_netfault.cli.judge import judge

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_its_examples_can_be_judged(tmp_path: Path) -> None:
    blocks = [re.sub("^    ", "", block, flags=re.M) for block in re.findall(r"(?:^    .+\n)+", PAGE, re.M)]
    paths = []
    for number, block in enumerate(block for block in blocks if block.startswith("{")):
        paths.append(tmp_path / str(number))
        paths[-1].write_text(block, encoding="utf-8")
    out = io.StringIO()
    judge(paths, as_json=True, out=out)
    verdicts = [(one["verdict"], one.get("broken"), one.get("lost")) for one in json.loads(out.getvalue())]
    assert verdicts == [
        ("kept", None, None),
        ("broken", ["complete"], None),
        ("kept", [], None),
        ("kept", None, []),
    ]


def test_it_has_every_guarantee_and_every_model() -> None:
    table = PAGE.split("The set of broken guarantees")[1].split("###")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(GUARANTEES)
    assert re.findall(r"^\| `(writes\.\w+)` \|", PAGE, re.M) == list(WRITE_GUARANTEES)
    for name in MODELS:
        assert f"`{name}`" in PAGE
