"""Whoever knows another tool's word finds ours."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_netfault import Link, NetFault
from pytest_netfault.faults import synonyms

WORDS = [(ours, word) for ours, theirs in synonyms.OF_A_LINK.items() for word in theirs.split()]


@pytest.fixture
def net() -> Iterator[NetFault]:
    with NetFault(seed=1) as net:
        yield net


@pytest.fixture
def link(net: NetFault) -> Iterator[Link]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield net.forward(server.getsockname())


@pytest.mark.parametrize(("ours", "word"), WORDS)
def test_each_word_leads_to_a_method_that_exists(link: Link, ours: str, word: str) -> None:
    assert hasattr(Link, ours.partition("(")[0])
    assert not hasattr(link, word), "a word that we have ourselves is not looked up"
    with pytest.raises(AttributeError, match=re.escape(f"'Link' object has no attribute '{word}'")) as caught:
        getattr(link, word)
    assert str(caught.value).endswith(f"link.{ours}")


def test_no_word_leads_to_two_methods() -> None:
    words = [word for _, word in WORDS]
    assert len(words) == len(set(words))


def test_a_link_of_the_fixture_is_called_a_link(netfault: NetFault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = netfault.forward(server.getsockname())
        with pytest.raises(AttributeError, match=r"^'Link' object has no attribute 'latency': .*link\.delay"):
            _ = link.latency  # type: ignore[attr-defined]


def test_what_belongs_to_a_link_is_not_looked_for_on_a_netfault(net: NetFault) -> None:
    with pytest.raises(
        AttributeError, match=r"it is a link that is broken, as in netfault\.forward\(server\)\.sev"
    ):
        _ = net.sever  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"netfault\.forward\(server\), which gives a link"):
        _ = net.create_proxy  # type: ignore[attr-defined]


def test_a_word_that_nobody_has_is_an_ordinary_error(net: NetFault, link: Link) -> None:
    with pytest.raises(AttributeError, match=r"^'Link' object has no attribute 'nonsense'$"):
        _ = link.nonsense  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^'NetFault' object has no attribute 'nonsense'$"):
        _ = net.nonsense  # type: ignore[attr-defined]


def test_the_page_about_faults_has_the_same_words() -> None:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    table = page.partition("## Names in other tools")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| `(\w+)", table, re.MULTILINE)
    assert len(rows) >= 10
    for there, here in rows:
        for word in re.sub(r" connection|`", "", there).split(", "):
            name = re.sub(r"\W", "_", word.lower())
            ours = next((ours for ours, theirs in synonyms.OF_A_LINK.items() if name in theirs.split()), "")
            assert ours.partition("(")[0] == here, word
