"""Colours in a terminal: where they should be, and nowhere else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.report.colour import coloured, plain, wanted

STORY = """\
An update was lost: revision 3 (put 'a' = 'v5') never reached the subscriber.
    4  Break(Sever())                     cut connection #1 at 444 B up, 211 B down
    5  Write('a')                         revision 3, NEVER ARRIVED
Broken: reliable: revision 3 had not arrived
  +0.257s shop fault Sever() (test_shop.py:28)
  +0.257s shop #1 fin by Sever() (up 14 B, down 14 B) both ways
  +0.300s shop #1 fin by client (up 14 B, down 14 B)
  +0.300s shop note (t.py:3) the deployment begins
  +0.400s shop #2 upstream_failed by upstream 127.0.0.1:9: Connection refused
picture: out/report.html"""


def test_what_matters_is_coloured_and_the_rest_is_not() -> None:
    lines = coloured(STORY).splitlines()
    assert [(re.findall(r"\x1b\[([\d;]+)m", line) or [""])[0] for line in lines] == [
        "1;31",
        "33",
        "1;31",
        "31",
        "33",
        "33",
        "",
        "36",
        "31",
        "1",
    ]
    assert plain("\n".join(lines)) == STORY


@given(st.text(st.characters(exclude_characters="\x1b"), max_size=80) | st.sampled_from(STORY.splitlines()))
def test_nothing_but_colours_is_added(text: str) -> None:
    assert plain(coloured(text)) == text


@pytest.mark.parametrize(
    ("environment", "terminal", "answer"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"PY_COLORS": "1", "NO_COLOR": "1"}, False, True),
        ({"PY_COLORS": "0", "FORCE_COLOR": "1"}, True, False),
    ],
)
def test_the_variables_that_pytest_knows_decide(
    environment: dict[str, str], terminal: bool, answer: bool
) -> None:
    assert wanted(environment, terminal=terminal) is answer
