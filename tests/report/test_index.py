"""The index of an output folder: every folder of a test is in it, with links that lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from pytest_netfault.cli.commands import main
from pytest_netfault.report.index import Left, index_page, read_folders, write_index


@pytest.fixture
def output(tmp_path: Path) -> Path:
    story = {
        "nodeid": "tests/test_shop.py::test_orders",
        "headline": "tests/test_shop.py::test_orders failed",
        "wrong": "AssertionError: no <answer>\nmore",
        "command": "pytest tests/test_shop.py::test_orders --netfault-seed=7",
        "failed_at": "tests/test_shop.py:31",
        "facts": [["started", "2026-11-29 08:00:00.000 UTC"]],
    }
    shop = tmp_path / "shop #1"
    shop.mkdir()
    (shop / "events.json").write_text(json.dumps(story))
    (shop / "report.html").write_text("<title>test_orders failed</title>")
    (shop / "update-lost-seed7.html").write_text("<title>An update was lost: a &lt; b</title>")
    (shop / "etcd.log").write_text("...")
    proof = tmp_path / "proof"
    proof.mkdir()
    (proof / "failure.txt").write_text("seed 7")
    (tmp_path / "of others").mkdir()
    (tmp_path / "of others" / "readme.txt").write_text("")
    return tmp_path


def test_what_the_folders_say_is_read(output: Path) -> None:
    proof, shop = read_folders(output)
    assert proof == Left("proof", "proof", others=("failure.txt",))
    assert shop == Left(
        folder="shop #1",
        test="tests/test_shop.py::test_orders",
        outcome="AssertionError: no <answer>",
        started="2026-11-29 08:00:00.000 UTC",
        failed_at="tests/test_shop.py:31",
        command="pytest tests/test_shop.py::test_orders --netfault-seed=7",
        pages=(
            ("report.html", "test_orders failed"),
            ("update-lost-seed7.html", "An update was lost: a < b"),
        ),
        others=("etcd.log", "events.json"),
    )


def test_its_links_lead_somewhere_and_nothing_is_markup(output: Path) -> None:
    path = write_index(output)
    assert path == output / "index.html"
    page = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r'href="([^"]+)"', page) if not link.startswith("data:")]
    assert len(links) == 5
    assert all((output / unquote(link)).is_file() for link in links)
    assert "no &lt;answer&gt;" in page
    assert "<answer>" not in page
    assert "<script" not in page
    assert write_index(output) == path  # and it is not listed itself
    assert path.read_text(encoding="utf-8") == page


@pytest.mark.parametrize("content", ["", "[]", "{", '{"facts": 3}'])
def test_a_file_that_is_not_ours_hides_nothing(output: Path, content: str) -> None:
    (output / "shop #1" / "events.json").write_text(content)
    _, shop = read_folders(output)
    assert shop.test == "shop #1"
    assert len(shop.pages) == 2


def test_where_no_test_has_left_anything_there_is_no_page(tmp_path: Path) -> None:
    assert write_index(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_keys_and_values_of_a_test_are_printable() -> None:
    assert "\\x1b" in index_page([Left("a", "\x1b[31m")], title="out")


def test_the_command_writes_it(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(output)]) == 0
    assert capsys.readouterr().out.strip() == str(output / "index.html")
    assert main(["index", str(output / "of others")]) == 2
    assert main(["index", str(output / "absent")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
