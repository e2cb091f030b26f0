"""Checks the pages as they were built:  python docs/check_site.py docs/_build/html

Whoever unpacks them without a network, and opens them without a server, must be able to read and to search them:

* each link to another page, file or anchor of ours leads somewhere;
* nothing that a browser loads by itself comes from elsewhere;
* every option, ini value, fixture, command and hook is in the index, which leads to its place;
* no signature shows an argument that begins with an underscore;
* the search finds the page that answers, also for the words of other tools, with the file system as its only
  server. It is tried in a real browser where there is one.

It prints what it counted, and each thing that is wrong; the exit code is 1 if anything is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SEARCHED = "blackhole"

#: What people type, and the page that must be found.
ANSWERS = {
    SEARCHED: "faults.html",
    **dict.fromkeys(
        ("latency", "bandwidth", "limit_data", "toxicity", "partition", "half-open", "packet loss"),
        "faq.html",
    ),
    "testcontainers": "how-to/containers.html",
    "offline": "install.html",
}


@dataclass
class Page:
    """What a page refers to, and where it can be referred to."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class Reader(HTMLParser):
    """Collects a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.page.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.page.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source", "object") and found.get("src"):
            self.page.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.page.loaded.append(found.get("href", ""))


def read(site: Path) -> dict[Path, Page]:
    """All pages of a site."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        reader = Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        pages[path.resolve()] = reader.page
    return pages


def wrong(site: Path, pages: dict[Path, Page]) -> list[str]:
    """What does not lead anywhere, or comes from elsewhere."""
    found = []
    for path, page in pages.items():
        here = path.relative_to(site.resolve())
        for target in page.loaded:
            if target.startswith("data:"):
                continue  # it is in the page
            if urlsplit(target).netloc:
                found.append(f"{here} loads {target} from elsewhere")
            elif not (path.parent / unquote(urlsplit(target).path)).is_file():
                found.append(f"{here} loads {target}, which is not there")
        for target in page.links:
            address = urlsplit(target)
            if address.scheme or address.netloc:
                continue  # other people's sites are not asked
            to = (path.parent / unquote(address.path)).resolve() if address.path else path
            if not to.is_file():
                found.append(f"{here} leads to {target}, which is not there")
            elif address.fragment and to in pages and unquote(address.fragment) not in pages[to].anchors:
                found.append(f"{here} leads to {target}, and that page has no such place")
    return found


def names() -> set[str]:
    """What people look up by its name."""
    from pytest_netfault.cli.commands import COMMANDS
    from pytest_netfault.plugin import hookspecs
    from pytest_netfault.plugin.fixtures import FIXTURES
    from pytest_netfault.plugin.options import OPTIONS

    return {
        *(option.flag for option in OPTIONS),
        *(option.key for option in OPTIONS),
        *FIXTURES,
        *(module.rpartition(".")[2] for module in COMMANDS),
        *(name for name in vars(hookspecs) if name.startswith("pytest_netfault_")),
    }


def unnamed(site: Path) -> list[str]:
    """Names that the index does not have, and arguments that are nobody's business."""
    index = (site / "genindex.html").read_text(encoding="utf-8")
    words = set(re.findall(r"[\w.-]+", re.sub(r"<[^>]*>", " ", index)))
    found = [f"the index does not know {name}" for name in sorted(names() - words)]
    for page in sorted(site.rglob("*.html")):
        shown = re.findall(r'class="sig-param">.{0,40}?>(_\w+)<', page.read_text(encoding="utf-8"))
        found += [f"{page.relative_to(site)} shows the private argument {name}" for name in shown]
    return found


def search(site: Path) -> str:
    """Search in a browser that was given a file and nothing else; what it found, or why it was not tried.

    Raises:
        AssertionError: a word does not lead to its page.
    """
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex("), (
        "the index must be a script: a page from a file may not fetch"
    )
    assert f'"{SEARCHED}"' in index, f"the index does not know {SEARCHED!r}"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return "not tried in a browser: there is none here"
    for words, page in ANSWERS.items():
        hits = _hits(browser, site, words)
        assert page in hits, (
            f"a search for {words!r} does not find {page}, but {', '.join(hits) or 'nothing'}"
        )
    return f"{len(ANSWERS)} searches from the file system, each found its page"


def _hits(browser: str, site: Path, words: str) -> list[str]:
    """The pages that a search finds, best first."""
    address = f"{(site / 'search.html').resolve().as_uri()}?q={quote(words)}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-sync",
            "--disable-component-update",
            "--no-first-run",
            f"--user-data-dir={profile}",
        ]
        shown = subprocess.run(
            [browser, *options, "--virtual-time-budget=10000", "--dump-dom", address],
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
    return [hit.partition("#")[0] for hit in re.findall(r'<li class="kind-\w+"><a href="([^"]+)"', shown)]


def main(arguments: list[str]) -> int:
    site = Path(arguments[0])
    pages = read(site)
    problems = wrong(site, pages) if pages else [f"there are no pages in {site}"]
    try:
        problems += unnamed(site)
        searched = search(site)
    except (AssertionError, OSError) as error:
        problems.append(f"index or search: {error}")
        searched = "failed"
    links = sum(len(page.links) for page in pages.values())
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    sys.stdout.write(f"{len(pages)} pages, {links:,} links, {len(problems)} wrong; search: {searched}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
