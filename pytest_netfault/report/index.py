"""An index of the folders that failing tests have left: one page with what failed and where its files are.

What is shown is read from the folders, so that it holds for those of several sessions, or of several jobs of a CI
system whose artifacts were put into one place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_netfault.common.files import write_whole
from pytest_netfault.common.printable import printable
from pytest_netfault.common.wording import counted

__all__ = ["INDEX", "Left", "index_page", "read_folders", "write_index"]

#: The name of the page.
INDEX = "index.html"

_PAGES = ("report.html", "update-lost-*.html", "interrupted-*.html")
_KNOWN = ("failure.txt", "events.json", *_PAGES)
_TITLE_WITHIN = 20_000
_SHOWN = 300


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="pytest-netfault">
<title>{heading}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body class="index">
<header><h1>{heading}</h1></header>
<main>
<table>
<thead>
<tr><th scope="col">Test</th><th scope="col">What happened</th><th scope="col">Timelines</th>
<th scope="col">Files</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Left:
    """A folder that a test has left.

    Attributes:
        folder: its name.
        test: the name of the test, or the folder's where it is not known.
        outcome: what became of the test, in a line.
        started: when it began; empty if that is not known.
        failed_at: the line that failed, as ``file:line``; empty if that is not known.
        command: what runs it again; empty if that is not known.
        pages: its timelines, as pairs of a file's name and what it shows.
        others: the names of its other files.
    """

    folder: str
    test: str
    outcome: str = ""
    started: str = ""
    failed_at: str = ""
    command: str = ""
    pages: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()


def write_index(directory: Path) -> Path | None:
    """Write the index of a folder into it; return its path, or None if there is nothing to be listed.

    Raises:
        OSError: it cannot be read or written.
    """
    left = read_folders(directory)
    if not left:
        return None
    path = directory / INDEX
    write_whole(path, index_page(left, title=directory.resolve().name))
    return path


def read_folders(directory: Path) -> list[Left]:
    """What is in the folders below a directory that were written for tests, by the names of the tests.

    Raises:
        OSError: the directory cannot be read.
    """
    found = [
        _read(folder)
        for folder in sorted(directory.iterdir())
        if folder.is_dir() and any(any(folder.glob(name)) for name in _KNOWN)
    ]
    return sorted(found, key=lambda left: (left.test, left.folder))


def index_page(left: Sequence[Left], *, title: str) -> str:
    """The page.

    >>> page = index_page([Left("a-1", "t.py::test_<a>", "failed", pages=(("report.html", "a loss"),))], title="out")
    >>> '<a href="a-1/report.html">a loss</a>' in page, "test_&lt;a&gt;" in page
    (True, True)
    """
    style = (files("pytest_netfault.report") / "templates" / "timeline.css").read_text(encoding="utf-8")
    return _PAGE.format(
        heading=_text(f"{title}: what {counted(len(left), 'test has', 'tests have')} left"),
        style=style,
        rows="\n".join(map(_row, left)),
    )


def _row(left: Left) -> str:
    what = [_text(left.outcome)] if left.outcome else []
    if left.failed_at:
        what.append(f'<span class="quiet">at {_text(left.failed_at)}</span>')
    if left.started:
        what.append(f'<span class="quiet">started {_text(left.started)}</span>')
    if left.command:
        what.append(f"<code>{_text(left.command)}</code>")
    pages = [_link(left.folder, name, words) for name, words in left.pages]
    others = [_link(left.folder, name, name) for name in left.others]
    cells = (f"<strong>{_text(left.test)}</strong>", *("<br>".join(cell) for cell in (what, pages, others)))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _link(folder: str, name: str, words: str) -> str:
    return f'<a href="{quote(folder)}/{quote(name)}">{_text(words)}</a>'


def _text(text: str) -> str:
    text = printable(" ".join(text.split()))
    return escape(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")


def _read(folder: Path) -> Left:
    story = _story(folder / "events.json")
    facts = story.get("facts")
    started = dict(facts).get("started", "") if isinstance(facts, list) else ""
    pages = tuple((page.name, _title(page)) for name in _PAGES for page in sorted(folder.glob(name)))
    names = {name for name, _ in pages}
    wrong = str(story.get("wrong") or "").strip().partition("\n")[0]
    losses = [words for name, words in pages if name != "report.html"]
    return Left(
        folder=folder.name,
        test=str(story.get("nodeid") or folder.name),
        outcome=wrong or str(story.get("headline") or "") or next(iter(losses), ""),
        started=str(started),
        failed_at=str(story.get("failed_at") or ""),
        command=str(story.get("command") or ""),
        pages=pages,
        others=tuple(
            sorted(path.name for path in folder.iterdir() if path.name not in names and path.is_file())
        ),
    )


def _story(path: Path) -> dict[str, Any]:
    """What ``events.json`` says; nothing if it is not there, or not ours."""
    try:
        story = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return story if isinstance(story, dict) else {}


def _title(page: Path) -> str:
    """What a page is called; its name if that is not to be found."""
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            found = re.search(r"<title>(.*?)</title>", file.read(_TITLE_WITHIN), re.DOTALL)
    except OSError:
        found = None
    return unescape(found[1]) if found is not None else page.name
