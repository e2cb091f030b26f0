"""Links to a server that is no store: a small HTTP server of the standard library.

Whatever speaks TCP can be put behind a link, and whatever can be told a port can be put in front of it.
"""

from __future__ import annotations

import http.client
import time

import pytest

BODY = b"hello, world\n"


def get(link, *, timeout=5.0):
    client = http.client.HTTPConnection(link.host, link.port, timeout=timeout)
    try:
        client.request("GET", "/")
        return client.getresponse().read()
    finally:
        client.close()


def test_a_link_that_nobody_breaks_is_not_there(netfault, hello_server):
    assert get(netfault.forward(hello_server)) == BODY


def test_a_delay_is_felt_on_the_way_there_and_on_the_way_back(netfault, hello_server):
    link = netfault.forward(hello_server)
    began = time.monotonic()
    with link.delay(0.05):
        get(link)
    assert time.monotonic() - began >= 0.1


def test_a_client_with_a_timeout_survives_silence(netfault, hello_server):
    link = netfault.forward(hello_server)
    with link.blackhole("down"):
        with pytest.raises(TimeoutError):
            get(link, timeout=0.1)
    assert get(link) == BODY


def test_a_refusal_is_seen_as_one(netfault, hello_server):
    link = netfault.forward(hello_server)
    with link.sever():
        with pytest.raises(ConnectionRefusedError):
            get(link)
    assert get(link) == BODY


def test_an_answer_that_is_cut_in_its_last_byte_is_no_answer(netfault, hello_server):
    link = netfault.forward(hello_server)
    get(link)
    whole = link.bytes_down  # the head and the body, as they were delivered

    with link.cut(whole - 1, direction="down"):
        with pytest.raises(http.client.IncompleteRead) as cut:
            get(link)
        assert cut.value.partial == BODY[:-1]

    with link.cut(whole - 1, direction="down", how="rst"):
        with pytest.raises(ConnectionResetError):
            get(link)


def test_an_answer_in_pieces_of_one_byte_is_an_answer(netfault, hello_server):
    link = netfault.forward(hello_server)
    with link.slice(1):
        assert get(link) == BODY
