"""Our decoder of header fields beside the one of the library that HTTP clients use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.framers.hpack import Decoder

hpack: Any = pytest.importorskip(
    "hpack", reason="the library that it is compared with comes with httpx[http2]"
)

TEXTS = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60)
NAMES = st.sampled_from([":path", ":method", "content-type", "cookie", "x-a", "x-b"]) | TEXTS
BLOCKS = st.lists(
    st.tuples(
        st.lists(st.tuples(NAMES, TEXTS), max_size=6),
        st.booleans(),
        st.sampled_from([4096, 4096, 0, 100, 20_000]),
    ),
    max_size=8,
)


@given(BLOCKS)
@settings(deadline=None, max_examples=50)
def test_it_reads_what_the_library_writes(blocks: list[tuple[list[tuple[str, str]], bool, int]]) -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    for fields, packed, size in blocks:
        encoder.header_table_size = size
        given_fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        assert decoder.decode(encoder.encode(given_fields, huffman=packed)) == fields
    assert not decoder.broken


@given(st.lists(st.binary(max_size=200), max_size=10))
@settings(deadline=None)
def test_garbage_breaks_it_for_good_and_never_raises(blocks: list[bytes]) -> None:
    decoder = Decoder()
    for block in blocks:
        broken = decoder.broken
        fields = decoder.decode(block)
        assert not (broken and fields)


def test_a_table_that_is_too_large_is_not_followed() -> None:
    decoder = Decoder()
    assert decoder.decode(b"\x3f\xe1\xff\x3f") == []
    assert decoder.broken
