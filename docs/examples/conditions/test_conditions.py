"""The same test as anywhere else; the conditions come from the ``conftest.py`` beside it."""

from __future__ import annotations

import urllib.request


def test_a_slow_line_is_no_reason_to_fail(netfault, hello_server, caplog):
    caplog.set_level("INFO")
    link = netfault.forward(hello_server)
    with urllib.request.urlopen(f"http://{link.address}/", timeout=5) as answer:
        assert answer.read() == b"hello, world\n"
    assert caplog.messages == ["link1: Delay(0.005, jitter=0.002)"]
