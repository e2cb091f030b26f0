"""Every form of an address that users write, and a message that names the argument for every other."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.proxy.addresses import TcpAddress, UnixAddress, name_of, parse_address

ports = st.integers(1, 65535)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str), st.just("localhost"), st.from_regex(r"[a-z]{1,9}\.test", fullmatch=True)
)


@given(hosts, ports)
def test_host_and_port_in_every_form(host: str, port: int) -> None:
    expected = TcpAddress(host, port)
    assert parse_address(f"{host}:{port}", what="upstream") == expected
    assert parse_address((host, port), what="upstream") == expected
    assert parse_address([host, port], what="upstream") == expected
    assert parse_address(expected, what="upstream") == expected
    assert parse_address(str(expected), what="upstream") == expected


@given(st.ip_addresses(v=6).map(str), ports)
def test_ipv6_stands_in_brackets(host: str, port: int) -> None:
    assert parse_address(f"[{host}]:{port}", what="upstream") == TcpAddress(host, port)
    assert str(TcpAddress(host, port)) == f"[{host}]:{port}"
    with pytest.raises(ValueError, match="in brackets"):
        parse_address(f"{host}:{port}", what="upstream")


@pytest.mark.parametrize(
    ("value", "example"),
    [
        ("redis://localhost", "localhost:80"),
        ("redis://:secret@cache:6379/0", "cache:6379"),
        ("http://localhost:80", "localhost:80"),
        ("https://[::1]:8443/path?x", "[::1]:8443"),
        ("postgres://me@db:5432", "db:5432"),
        ("amqp://", "localhost:80"),
    ],
)
def test_a_url_is_answered_with_the_address_in_it(value: str, example: str) -> None:
    with pytest.raises(ValueError, match="upstream: write host:port without a scheme") as caught:
        parse_address(value, what="upstream")
    assert f"such as '{example}'" in str(caught.value)
    assert "IPv6" not in str(caught.value)
    parse_address(example, what="upstream")


@given(ports)
def test_a_port_alone_is_on_localhost(port: int) -> None:
    assert parse_address(port, what="upstream") == TcpAddress("127.0.0.1", port)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100))
def test_a_unix_path(path: str) -> None:
    parsed = parse_address(f"unix:{path}", what="listen")
    assert parsed == UnixAddress(path)
    assert str(parsed) == f"unix:{path}"


@pytest.mark.parametrize(
    "value",
    [
        "", ":", "host", "host:", ":80", "host:port", "host:-1", "host:0", "host:65536", "host:1e3", "host:٣",
        "::1:80", "[::1]", "unix:", "unix:a\0b", "unix:" + "x" * 108, 0, -1, 65536, ("host", 0), ("host", 70000),
        ("", 80), ("host\0name", 80), "ho\0st:80", TcpAddress("host", 0), TcpAddress("host", 70000), TcpAddress("", 1),
        UnixAddress(""), UnixAddress("a\0b"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_the_message_names_the_argument(value: object) -> None:
    with pytest.raises(ValueError, match="upstream"):
        parse_address(value, what="upstream")


@pytest.mark.parametrize(
    "value",
    [
        None, True, 80.0, b"host:80", object(), ("host",), ("host", "80"), ("host", True), ("host", 80, 1),
        (80, "host"), {"host": 80}, Path("/x"), TcpAddress("host", True), TcpAddress("host", "80"),  # type: ignore[arg-type]
        UnixAddress(b"/x"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_has_the_wrong_type_is_refused_and_the_message_names_the_argument(value: object) -> None:
    with pytest.raises(TypeError, match="listen"):
        parse_address(value, what="listen", any_port=True)


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers()),
        st.tuples(st.text(), st.integers()), st.tuples(st.text(), st.text()),
        st.tuples(st.text(), st.integers(), st.integers(), st.integers()),
    )
)  # fmt: skip
def test_anything_is_an_address_or_an_error_that_names_the_argument(value: object) -> None:
    try:
        parsed = parse_address(value, what="upstream")
    except (TypeError, ValueError) as refused:
        said = str(refused)
    else:
        said = "upstream is fine"
        assert parse_address(str(parsed), what="upstream") == parsed
    assert said.startswith("upstream")


def test_a_number_too_long_to_print_is_refused_with_the_same_sentence() -> None:
    with pytest.raises(ValueError, match="upstream: the port must lie between 1 and 65535, not a number of"):
        parse_address(10**5000, what="upstream")


def test_port_0_only_where_any_port_will_do() -> None:
    assert parse_address(("127.0.0.1", 0), what="listen", any_port=True) == TcpAddress("127.0.0.1", 0)
    assert parse_address("127.0.0.1:0", what="listen", any_port=True) == TcpAddress("127.0.0.1", 0)


def test_the_address_of_a_socket_reads_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = server.getsockname()
    assert parse_address(name_of(name, unix=False), what="upstream") == TcpAddress(*name)


def test_a_name_of_ipv6_and_of_a_path_reads_back() -> None:
    assert name_of(("::1", 80, 0, 0), unix=False) == "[::1]:80"
    assert name_of("/run/db.sock", unix=True) == "unix:/run/db.sock"
    assert name_of("", unix=True) == "unix:"
