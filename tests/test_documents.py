"""The documents say what is true: examples run, tables are complete, links lead somewhere."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import Link, schedules
from pytest_netfault.faults import FAULTS
from pytest_netfault.faults.base import limit_names
from pytest_netfault.plugin.options import OPTIONS
from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import find_etcd

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "docs" / "examples"
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
METHODS = [
    name
    for name, method in inspect.getmembers(Link, inspect.isfunction)
    if inspect.get_annotations(method).get("return")
]
FAULT_METHODS = {
    name for name in METHODS if inspect.get_annotations(getattr(Link, name))["return"] == "ActiveFault"
} - {"apply"}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


# -- the README ----------------------------------------------------------------------------------------------


def test_the_first_test_of_the_readme_is_a_file() -> None:
    assert blocks(README, "python")[0] == (EXAMPLES / "first_bug.py").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store", "outcome"), [("naive_etcd3", {"failed": 1}), ("runtime_config_store", {"passed": 1})]
)
def test_the_first_test_finds_the_bug_and_passes_without_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, store: str, outcome: dict[str, int]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    pytester.makepyfile(test_first=blocks(README, "python")[0].replace("naive_etcd3", store))
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:randomly", timeout=60)
    if any("no etcd was found" in line for line in result.outlines):
        pytest.skip("no etcd was found")
    result.assert_outcomes(**outcome)
    if "failed" in outcome:
        result.stdout.fnmatch_lines(["*queue.Empty", "*fault Sever()*"])


# The same mistake in a client that first reads what is there. What an earlier run has left is no update.
READS_FIRST = """
from pytest_netfault import Delivery, Event
from stores.naive_etcd3 import NaiveStore

class ReadsFirst(NaiveStore):
    def subscribe(self, prefix, deliver):
        for value, about in self._etcd.get_prefix(prefix):
            deliver(Delivery(events=(Event(about.key.decode(), value.decode()),)))
        super().subscribe(prefix, deliver)

open_store = ReadsFirst
"""


@pytest.mark.slow
def test_the_first_test_says_the_same_each_time_on_an_etcd_that_lives_on(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    first = blocks(README, "python")[0]
    pytester.makepyfile(
        reads_first=READS_FIRST,
        test_naive=first,
        test_reads_first=first.replace("stores.naive_etcd3", "reads_first"),
        test_wrapper=first.replace("naive_etcd3", "runtime_config_store"),
    )
    try:
        etcd = find_etcd().start()
    except ServerError as error:
        pytest.skip(f"there is no etcd that could live on: {error}")
    with closing(etcd):
        for _ in range(2):
            result = pytester.runpytest_subprocess(
                *("-p", "no:asyncio", "-p", "no:randomly", "-rA", f"--netfault-etcd={etcd.address}"),
                timeout=60,
            )
            result.assert_outcomes(passed=1, failed=2)
            result.stdout.fnmatch_lines(["PASSED test_wrapper.py::*"])


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_the_python_on_a_page_can_be_pasted(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in blocks(text, "python"):
        ast.parse(block)
        for found in re.findall(r"\bSchedule\(\[.*\]\)", block):
            schedule = eval(found, {name: getattr(schedules, name) for name in schedules.__all__})
            assert str(schedule) == found, "it is shown as it would be printed"


def test_the_commands_of_the_readme_are_where_the_gate_looks_for_them() -> None:
    for name, program in (("test", "tox"), ("demo", "netfault demo")):
        (command,) = blocks(
            README.partition(f"<!-- {name} command -->")[2].partition("<!-- end -->")[0], "sh"
        )
        assert command.startswith("python -m pip install ")
        assert command.rstrip().endswith(f"&& {program}")


# -- tables --------------------------------------------------------------------------------------------------


def test_every_fault_has_a_method() -> None:
    assert {name.replace("_", "") for name in FAULT_METHODS} == {kind.__name__.lower() for kind in FAULTS}


@pytest.mark.parametrize("document", ["README.md", "docs/faults.md"])
def test_the_tables_of_faults_are_complete(document: str) -> None:
    rows = re.findall(r"^\| \[?`(\w+)\(", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == FAULT_METHODS
    assert len(rows) == len(set(rows))


def method_of(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


@pytest.mark.parametrize("name", sorted(FAULT_METHODS))
def test_the_page_of_faults_names_every_argument(name: str) -> None:
    (signature,) = re.findall(
        rf"^`link\.{name}\((.*?)\)`", (ROOT / "docs/faults.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    # The limits, which every fault has, are described once for all of them.
    kind = next(kind for kind in FAULTS if method_of(kind) == name)
    limits = limit_names(kind)
    text = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    section = text[text.index("\n## Limits\n") : text.index("\n## Names in other tools\n")]
    assert all(f"`{limit}`" in section for limit in limits)
    parameters = [
        one
        for one in list(inspect.signature(getattr(Link, name)).parameters.values())[1:]
        if one.name not in limits
    ]
    shown = [
        str(parameter.replace(annotation=parameter.empty)).replace("'", '"').replace(" = ", "=")
        for parameter in parameters
    ]
    first = next((n for n, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), None)
    if first is not None:
        shown.insert(first, "*")
    assert signature == ", ".join(shown)


@pytest.mark.slow
def test_the_page_of_options_is_complete(pytester: pytest.Pytester) -> None:
    text = (ROOT / "docs/reference/options.md").read_text(encoding="utf-8")
    help_text = pytester.runpytest_subprocess("--help").stdout.str()
    for pattern in (r"--netfault-[a-z]+", r"\bnetfault_(?:seed|etcd|strict|output|artifacts|summary|keep)\b"):
        assert set(re.findall(pattern, text)) == set(re.findall(pattern, help_text))
    options = set(re.findall(r"--netfault-([a-z]+)", help_text))
    assert options == set(re.findall(r"^ +netfault_([a-z]+) ", help_text, re.MULTILINE))
    rows = re.findall(r"^\| `(--netfault-\S+)` \| `(\w+)` \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    assert [(flag, key) for flag, key, _, _ in rows] == [
        (option.flag + (f"={option.metavar}" if option.metavar else ""), option.key) for option in OPTIONS
    ]
    for option, (_, _, default, what) in zip(OPTIONS, rows, strict=True):
        assert not option.default or default.strip("`") == option.default
        words = (*option.choices, *option.environment, *option.environment.values())
        assert [word for word in words if word not in what + default] == []


def _extras() -> dict[str, list[str]]:
    """The extras of our metadata, and the packages that they ask for; without ``all``, which is all of them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    found = {
        extra: re.findall(r'"([\w-]+)', packages)
        for extra, packages in re.findall(r"^(\w+) = (.*)$", table, re.MULTILINE)
    }
    assert found.pop("all") == ["pytest-netfault"]
    return found


def test_the_page_about_installing_has_every_extra() -> None:
    text = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {*_extras(), "all"}


@pytest.mark.parametrize("extra", _extras())
def test_the_page_of_licences_has_what_an_extra_asks_for(extra: str) -> None:
    text = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    rows = {
        package: (stated, extras)
        for package, stated, extras in re.findall(
            r"^\| ([\w-]+) \| \S+ \| (.+) \| (.+) \|$", text, re.MULTILINE
        )
    }
    for package in _extras()[extra]:
        if package != "etcd-runtime-config":  # ours
            assert f"`{extra}`" in rows[package][1], "run docs/licences.py"
    assert "not stated" not in text


# -- examples ------------------------------------------------------------------------------------------------


def test_every_example_stands_on_a_page() -> None:
    included = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"^```\{literalinclude\} (\S+)$", page.read_text("utf-8"), re.MULTILINE)
    }
    examples = set(EXAMPLES.rglob("test_*.py")) | set((EXAMPLES / "ci").iterdir())
    assert examples <= included, "not shown on any page"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted((EXAMPLES / "ci").iterdir()), ids=lambda path: path.name)
def test_the_commands_of_a_recipe_are_accepted(pytester: pytest.Pytester, recipe: Path) -> None:
    # A line that is folded goes on where the next one begins with an option.
    text = re.sub(r"\n +(?=--)", " ", recipe.read_text(encoding="utf-8"))
    commands = re.findall(r"- (?:run: )?(?:>-\n +)?pytest (.*)$", text, re.MULTILINE)
    assert commands
    pytester.makepyfile("def test_it(): pass")
    for command in commands:
        result = pytester.runpytest_subprocess("-p", "no:asyncio", *shlex.split(command))
        result.assert_outcomes(passed=1)


# -- links ---------------------------------------------------------------------------------------------------


def _links() -> list[Any]:
    documents = [
        *PAGES,
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ]
    return [
        pytest.param(document, target, id=f"{document.relative_to(ROOT)}:{target}")
        for document in documents
        for target in dict.fromkeys(re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")))
    ]


@pytest.mark.parametrize(("document", "target"), _links())
def test_a_link_leads_somewhere(document: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    ours = re.fullmatch(r"https://github\.com/pytest-netfault/pytest-netfault/(?:blob|tree)/main/(.*)", path)
    if ours is not None:
        assert (ROOT / ours[1]).exists()
        return
    if path.startswith("https://"):
        return  # the internet is not asked
    page = (document.parent / path) if path else document
    assert page.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}


_spec = importlib.util.spec_from_file_location("check_site", ROOT / "docs" / "check_site.py")
assert _spec is not None
assert _spec.loader is not None
check_site = importlib.util.module_from_spec(_spec)
sys.modules["check_site"] = check_site  # its dataclasses look it up
_spec.loader.exec_module(check_site)

SITE = {
    "index.html": '<a href="a.html#here">a</a><a href="https://example.org/">b</a><img src="c.png">',
    "a.html": '<p id="here"></p>',
    "c.png": "",
    "search.html": "",
    "genindex.html": " ".join(sorted(check_site.names())),
    "searchindex.js": 'Search.setIndex({"terms":{"blackhole":1}})',
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("", "", ""),
        ("index.html", '<a href="b.html">', "index.html leads to b.html, which is not there"),
        (
            "index.html",
            '<a href="a.html#there">',
            "index.html leads to a.html#there, and that page has no such place",
        ),
        (
            "index.html",
            '<script src="https://example.org/a.js">',
            "index.html loads https://example.org/a.js from else",
        ),
        ("index.html", '<link rel="stylesheet" href="a.css">', "index.html loads a.css, which is not there"),
        ("searchindex.js", "{}", "search: the index must be a script"),
        (
            "genindex.html",
            " ".join(check_site.names() - {"--netfault-seed"}),
            "the index does not know --netfault-seed",
        ),
        (
            "a.html",
            '<p id="here"><em class="sig-param"><span class="n"><span class="pre">_hidden</span></span></em>',
            "a.html shows the private argument _hidden",
        ),
    ],
)
def test_a_site_that_was_built_is_checked(tmp_path: Path, file: str, text: str, told: str) -> None:
    for name, content in {**SITE, file or "index.html": text or SITE["index.html"]}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "check_site.py", tmp_path],
        env={"PATH": "/nonexistent"},  # no browser: that is for the pages as they are
        capture_output=True,
        text=True,
    )
    assert checked.returncode == (1 if told else 0), checked.stderr
    assert told in checked.stdout
    assert f"{1 if told else 0} wrong" in checked.stdout


# -- the gate ------------------------------------------------------------------------------------------------


def test_a_test_that_hangs_in_the_gate_names_itself() -> None:
    """Wherever pytest-timeout is installed; a hang is otherwise a job that ends without a word."""
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    for name in ("testenv", "testenv:oldest", "testenv:neighbours"):
        (command,) = (line for line in tox[name]["commands"].splitlines() if "-m pytest" in line)
        assert "--timeout=600" in command, name
    assert "--timeout" not in tox["testenv:bare"]["commands"], "which installs nothing but pytest and trio"
