"""What is shown is printable and commands nobody: the functions, and every output that goes through them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.common.printable import error_words, json_text, printable, printable_lines, represented
from pytest_netfault.events import LinkEvent, describe
from pytest_netfault.faults import MissingFault
from pytest_netfault.report.html import render
from pytest_netfault.report.markdown import Row, session_summary
from pytest_netfault.report.network_story import LinkStory
from pytest_netfault.report.terminal import ProofStory, Totals, failure_text
from pytest_netfault.report.timeline import Card, Lane, Mark, Timeline
from pytest_netfault.report.timeline_text import drawn
from pytest_netfault.servers.errors import ServerError

# ESC, CR, line separators, a change of direction, half a surrogate pair, and what three CI systems take for commands.
UGLY = (
    "\x1b]0;x\x07\r\x00\x85\u2028\u202e\u2066\ud800\x7f\n::error file=a::x\n  ::stop-commands::y\n"
    "##[error]z ##vso[task.complete]w ##teamcity[buildStop]"
)
COMMANDS = re.compile(r"^\s*::|##\[|##vso\[|##teamcity\[", re.MULTILINE)


def assert_harmless(text: str, *, lines: bool = True) -> None:
    for one in text:
        assert one.isprintable() or (lines and one in "\n\t"), repr(one)
    assert not COMMANDS.search(text), text


TEXTS = st.text() | st.lists(st.sampled_from(["::", "##[", "#", ":", "\n", " ", "\r", "a", "\ud800"])).map(
    "".join
)


@given(TEXTS)
def test_any_text_becomes_printable_and_stays_so(text: str) -> None:
    one, several = printable(text), printable_lines(text)
    assert_harmless(one, lines=False)
    assert_harmless(several)
    assert printable(one) == one
    assert printable_lines(several) == several
    assert several.count("\n") == text.count("\n")
    for line in several.split("\n"):
        assert printable(line.replace("\t", " ")) == line.replace("\t", " ")


@given(st.text(st.characters(categories=["L", "N", "P", "S"])).filter(lambda text: not COMMANDS.search(text)))
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert printable_lines(f"{text} {text}") == f"{text} {text}"


@given(TEXTS)
def test_json_is_printable_and_gives_the_text_back(text: str) -> None:
    written = json_text({"a": [text]}, indent=1)
    assert_harmless(written)
    assert written.isascii()
    assert json.loads(written) == {"a": [text]}


def test_what_cannot_say_what_it_is_is_shown_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    assert error_words(Mute()) == "Mute: its str() raises RuntimeError"
    assert represented(Mute()) == "<Mute whose repr raises RuntimeError>"
    assert represented(10**5_000) == "<int whose repr raises ValueError>"
    assert represented("x" * 300, limit=20) == "'xxxxxxxxxxxxxxxx..."
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert "RecursionError" in represented(nested)
    while nested:  # taken apart without recursion
        nested = nested[0]


# -- every output -------------------------------------------------------------------------------------------------

EVENT = LinkEvent(1.0, UGLY, "upstream_failed", 1, "upstream", detail=UGLY, address=UGLY)


def test_an_event() -> None:
    assert_harmless(describe(EVENT), lines=False)


def test_the_section_of_a_failing_test() -> None:
    text = failure_text(
        seed=7,
        command=UGLY,
        links=[LinkStory(UGLY, UGLY, UGLY, 1, 2, (MissingFault("a:B", "{}", UGLY),), (EVENT,))],
        since=0.0,
        crash=UGLY,
        folder=UGLY,
        page=UGLY,
        proofs=[ProofStory(UGLY, UGLY, UGLY, UGLY)],
        drawing=UGLY,
    )
    assert_harmless(text)


def test_the_summary_of_a_session() -> None:
    row = Row(
        UGLY,
        failed=True,
        verdict=UGLY,
        reason=UGLY,
        skipped=UGLY,
        schedule=UGLY,
        artifact=UGLY,
        command=UGLY,
    )
    text = session_summary(7, Totals(links=1, faults=1), [row])
    assert_harmless(text)
    (cells,) = (line for line in text.splitlines() if line.startswith("| `"))
    (header,) = (line for line in text.splitlines() if line.startswith("| failed"))
    assert len(re.findall(r"(?<!\\)\|", cells)) == header.count("|")


UGLY_PICTURE = Timeline(
    headline=UGLY,
    lanes=(Lane("a", UGLY, "deliveries"), Lane("b", UGLY, "faults")),
    marks=(
        Mark("e1", "a", 0.0, 0.0, UGLY, UGLY, tone="lost", shape="cross", details=((UGLY, UGLY),)),
        Mark("e2", "b", 0.0, 1.0, UGLY, UGLY, tone="culprit", shade=(0.0, 1.0)),
    ),
    cards=(Card("missing", UGLY, UGLY, "e1", UGLY),),
    facts=((UGLY, UGLY),),
    paste=UGLY,
    command=UGLY,
)


def test_a_picture_as_a_page_as_text_and_as_data() -> None:
    pytest.importorskip(
        "jinja2", reason="the report is drawn with Jinja2: pip install 'pytest-netfault[report]'"
    )
    page = render(UGLY_PICTURE)
    assert_harmless(page)
    page.encode()
    assert_harmless(drawn(UGLY_PICTURE))
    assert Timeline.from_json(json.loads(json.dumps(UGLY_PICTURE.to_json()))) == UGLY_PICTURE


def test_a_picture_that_is_printable_is_left_alone() -> None:
    mark = Mark("e1", "a", 0.0, 0.0, "put a = caf\u00e9 \u2191", details=(("x", "y"),))
    picture = Timeline("x", (Lane("a", "A"),), (mark,))
    assert picture.marks[0] is mark
    assert replace(picture, headline="y").marks == picture.marks


def test_the_words_of_a_server() -> None:
    assert_harmless(str(ServerError(f"it said: {UGLY}")))


def test_the_errors_of_a_link() -> None:
    from pytest_netfault import NetFault

    with NetFault(seed=1) as net:
        link = net.forward("127.0.0.1:1", name=UGLY)
        assert link.name == UGLY
        with pytest.raises(TimeoutError) as caught:
            link.wait_for_connection(timeout=0.01)
        assert_harmless(str(caught.value))
        assert_harmless(repr(link))
        assert_harmless(repr(link.sever()))


@pytest.mark.slow
def test_what_a_session_shows_of_a_link_and_a_client(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        UGLY = {UGLY!r}

        def test_a_fault_that_met_nothing(netfault):
            link = netfault.forward("127.0.0.1:1", name=UGLY)
            link.delay(0.1)

        def test_fails(netfault):
            netfault.forward("127.0.0.1:1", name=UGLY).delay(0.1)
            assert False
        """
    )
    summary = pytester.path / "summary.md"
    result = pytester.runpytest_subprocess(f"--netfault-summary={summary}", "--netfault-output=out")
    result.assert_outcomes(failed=1, passed=1, warnings=1)
    ours = [line for line in result.outlines if "error file=a" in line or "##" in line]
    quoted = [line for line in ours if "UGLY = " not in line]
    assert quoted
    assert_harmless("\n".join(quoted))
    assert_harmless(summary.read_text())
    (failure,) = pytester.path.glob("out/*/failure.txt")
    assert_harmless(failure.read_text())


def test_every_place_that_shows_text_is_in_this_list() -> None:
    """Who writes to a terminal directly: a new one goes through ``printable`` and stands here. (Ruff refuses print.)"""
    package = Path(__file__).parents[2] / "pytest_netfault"
    direct = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\.write_line\(|\.rewrite\(|sys\.std(out|err)\.write", path.read_text("utf-8"))
    }
    assert direct <= {
        "plugin/keep.py",  # names and addresses of servers
        "plugin/progress.py",  # where a proof is: numbers
        "plugin/__init__.py",  # the line at the end: numbers
        "plugin/storm/hooks.py",  # what was learned, and of which test
        "plugin/storm/summary.py",  # the findings
        "plugin/summary.py",  # the reason why a file was not written
    }, direct
