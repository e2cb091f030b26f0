"""What a client asks for is read from its first message, however it is cut into pieces; garbage is refused."""

from __future__ import annotations

import contextlib
import functools
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.proxy.tls.hello import ClientHello, NoTls, read_hello


@functools.lru_cache
def hello_of(name: str | None, *protocols: str) -> bytes:
    """What the ssl module says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name or "127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


def in_records(hello: bytes, size: int) -> bytes:
    """The same message in several records."""
    head, message = hello[:3], hello[5:]
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(head + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("name", ["store.example", None])
@pytest.mark.parametrize("protocols", [[], ["h2"], ["h2", "http/1.1"]])
def test_the_name_and_the_protocols(name: str | None, protocols: list[str]) -> None:
    assert read_hello(hello_of(name, *protocols)) == ClientHello(name or "", tuple(protocols))


@given(st.integers(1, 600), st.integers(0, 700))
def test_it_comes_in_pieces(size: int, cut: int) -> None:
    whole = in_records(hello_of("store.example", "h2"), size)
    assert read_hello(whole + b"what comes behind") == ClientHello("store.example", ("h2",))
    if cut < len(whole):
        assert read_hello(whole[:cut]) is None


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    try:
        hello = read_hello(data)
    except NoTls:
        return
    assert hello is None or isinstance(hello, ClientHello)


@given(st.integers(9, 500), st.binary(min_size=1, max_size=4))
def test_a_damaged_hello_ends_in_no_other_error(place: int, damage: bytes) -> None:
    hello = bytearray(hello_of("store.example", "h2"))
    hello[place : place + len(damage)] = damage
    with contextlib.suppress(NoTls):
        read_hello(bytes(hello))


def test_a_message_that_is_no_hello() -> None:
    with pytest.raises(NoTls, match="its first message is no ClientHello"):
        read_hello(bytes([22, 3, 3, 0, 4, 2, 0, 0, 0]))
    record = bytes([22, 3, 3, 255, 0, 1, 255, 255, 255]) + bytes(65_276)
    with pytest.raises(NoTls, match="larger than 65536"):
        read_hello(record + record[:300])
