"""The habits of a good plugin that no other file here holds it to; docs/contributing/conventions.md lists them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pytest_netfault
from pytest_netfault.plugin.fixtures import FIXTURES
from pytest_netfault.proof import host

ROOT = Path(__file__).parent.parent.parent
PACKAGE = Path(str(pytest_netfault.__file__)).parent
PAGE = (ROOT / "docs" / "contributing" / "conventions.md").read_text(encoding="utf-8")
_LINKED = re.findall(r"\[`(\w+)`\]\(https://github\.com/[\w/-]+?/blob/main/([\w/.]+\.py)\)", PAGE)


@pytest.mark.parametrize(("test", "file"), sorted(set(_LINKED)))
def test_a_test_that_the_page_names_is_there(test: str, file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file} has no {test}"


def test_every_row_of_the_page_is_held_by_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    told = [row for row in rows if "](https://" not in row]
    assert len(rows) - len(told) >= 60
    assert all(row.startswith(("| about plugins", "| plugin |")) for row in told), told


def test_nothing_private_of_pytest_is_imported() -> None:
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 50
    private = re.compile(r"^\s*(from|import) _pytest\b|hookwrapper\s*=", re.MULTILINE)
    assert [source for source in sources if private.search(source.read_text(encoding="utf-8"))] == []


def _fixtures(sessions: Any) -> dict[str, list[str]]:
    """The fixtures that a session with only our plugin adds, by name with the lines that describe them."""
    shown = sessions.run("--fixtures", "-v").stdout.str()
    ours = shown.partition("fixtures defined from pytest_netfault.plugin")[2].partition("\n---")[0]
    return {name: [] for name in re.findall(r"^(\w+)(?: \[\w+ scope\])? --", ours, re.MULTILINE)}


@pytest.mark.slow
def test_the_fixtures_are_those_that_are_documented(sessions: Any) -> None:
    documented = re.findall(
        r"^\| `(\w+)` \| (?:function|session) \|",
        (ROOT / "docs" / "reference" / "fixtures.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert set(_fixtures(sessions)) == set(documented) == set(FIXTURES)


@pytest.mark.slow
def test_everything_that_others_could_collide_with_carries_the_prefix(sessions: Any) -> None:
    with_us = sessions.run("--help").stdout.str()
    without = sessions.run_without("--help").stdout.str()
    added = set(re.findall(r"^ +(--?[a-z][\w-]*)", with_us, re.MULTILINE)) - set(
        re.findall(r"^ +(--?[a-z][\w-]*)", without, re.MULTILINE)
    )
    assert len(added) >= 6
    assert all(option.startswith("--netfault-") for option in added), added
    ini = set(re.findall(r"^  (\w+) \(\w+\):", with_us, re.MULTILINE)) - set(
        re.findall(r"^  (\w+) \(\w+\):", without, re.MULTILINE)
    )
    assert len(ini) == len(added)
    assert all(value.startswith("netfault_") for value in ini), ini


@pytest.mark.slow
def test_no_fixture_is_used_without_being_asked_for(sessions: Any) -> None:
    sessions.file("def test_it(request): print('uses', request.fixturenames)")
    (line,) = (line for line in sessions.run("-s").outlines if "uses [" in line)
    assert line.partition("uses ")[2].rstrip(".") == "['request']"


def test_a_session_that_is_over_surrounds_no_proof(pytester: pytest.Pytester) -> None:
    outer = host.current()
    pytester.makepyfile(
        """
        from pytest_netfault.proof import host

        def test_it(pytestconfig):
            assert host.current().seed == 5
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "netfault", "-p", "no:randomly", "-p", "no:asyncio", "--netfault-seed=5"
    )
    result.assert_outcomes(passed=1)
    assert host.current() is outer
