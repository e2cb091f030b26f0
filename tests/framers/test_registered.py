"""A protocol that somebody registers is known wherever ours are."""

from __future__ import annotations

from typing import Any

import pytest
from support.mutants.lines import LINES, known

from pytest_netfault.faults import Frame
from pytest_netfault.framers import Conversation, Framer, detect, protocol_named, register

GET = b'{"op": "get", "prefix": "r1."}\n'


def test_it_is_recognized_and_framed() -> None:
    with known():
        assert detect(GET, b"") == LINES
        assert detect(GET[:3], b"") is None
        conversation = Conversation(LINES)
        assert [frame.type for frame in conversation.feed("up", GET + GET)] == ["get", "get"]
        assert Frame(LINES, "get", index=2).protocol == protocol_named(LINES) == LINES
    assert detect(GET, b"") is False


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (7, TypeError, "^name must be a string, not 7$"),
        ("My protocol", ValueError, "^name must be lower-case letters and digits such as 'chat'"),
        ("redis", ValueError, "^name must be one that nobody has yet"),
        ("http2", ValueError, "^name must be one that nobody has yet"),
    ],
)
def test_names_that_are_taken_or_none_are_refused(name: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        register(name, lambda: (Framer(), Framer()), lambda _up, _down: False)
