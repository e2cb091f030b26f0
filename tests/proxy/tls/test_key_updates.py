"""What a side changes in the middle of a connection: its keys (TLS 1.3), or the whole agreement (TLS 1.2).

Python's ssl module cannot ask for either, so that side is the ``openssl`` program.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import owned

from pytest_netfault import TLS, Link, NetFault

PROGRAM = shutil.which("openssl")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no openssl on this machine")


class OpenSsl:
    """``openssl s_client`` or ``s_server``: it sends lines that it is told, and a line of one letter is a command."""

    def __init__(self, *arguments: object) -> None:
        assert PROGRAM is not None
        self.process = subprocess.Popen(
            owned([PROGRAM, *map(str, arguments), "-msg"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def until(self, text: bytes) -> bytes:
        """The next line that it prints with this text in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"it has ended, and printed no {text!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Ends:
    """A connection through a link with the program at one end, and a socket at the other."""

    def __init__(self, program: OpenSsl, sock: ssl.SSLSocket, link: Link) -> None:
        self.program, self.sock, self.link = program, sock, link

    def exchange(self) -> None:
        """A line each way."""
        self.program.say(b"a line")
        got = b""
        while len(got) < 7 and (part := self.sock.recv(9)):
            got += part
        assert got == b"a line\n"
        self.sock.sendall(b"its answer\n")


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def of_client(hosted: Any, stack: contextlib.ExitStack) -> Any:
    """The client is the program."""

    def connect(*arguments: str) -> Ends:
        link = hosted.link
        program = OpenSsl("s_client", "-connect", link.address, "-CAfile", hosted.net.ca.file, *arguments)
        stack.enter_context(contextlib.closing(program))
        raw = hosted.accept()
        return Ends(program, stack.enter_context(hosted.context.wrap_socket(raw, server_side=True)), link)

    return connect


@pytest.fixture
def of_server(hosted: Any, net: NetFault, stack: contextlib.ExitStack, tmp_path: Path) -> Any:
    """The upstream is the program."""
    pem = tmp_path / "server.pem"
    hosted.ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))

    def connect(*arguments: str) -> Ends:
        program = OpenSsl("s_server", "-accept", "127.0.0.1:0", "-cert", pem, *arguments)
        stack.enter_context(contextlib.closing(program))
        upstream = program.until(b"ACCEPT").split()[1].decode()
        link = net.forward(upstream, tls=TLS(upstream_ca=hosted.ca_file))
        raw = socket.create_connection((link.host, link.port), timeout=20)
        sock = hosted.trusting().wrap_socket(raw, server_hostname="localhost")
        return Ends(program, stack.enter_context(sock), link)

    return connect


UPDATE = b" TLS 1.3, Handshake [length 0005], KeyUpdate"


# "K" asks the link for a new key, too, which comes before its next byte; "k" does not.
@pytest.mark.parametrize("command", [b"K", b"k"])
@pytest.mark.parametrize("side", ["of_client", "of_server"])
def test_new_keys(request: pytest.FixtureRequest, side: str, command: bytes) -> None:
    ends = request.getfixturevalue(side)("-tls1_3")
    for _ in range(3):
        ends.exchange()
        ends.program.until(b"its answer")
        ends.program.say(command)
        ends.program.until(b">>>" + UPDATE)
        ends.exchange()
        if command == b"K":
            ends.program.until(b"<<<" + UPDATE)
        ends.program.until(b"its answer")


def test_new_keys_behind_a_silence(of_client: Any) -> None:
    ends = of_client("-tls1_3")
    ends.exchange()
    with ends.link.blackhole():
        ends.program.say(b"K")
        ends.program.until(b">>>" + UPDATE)
    ends.exchange()
    ends.program.until(b"<<<" + UPDATE)
    ends.program.until(b"its answer")


def test_an_upstream_negotiates_anew(of_server: Any) -> None:
    ends = of_server("-tls1_2")
    for _ in range(2):
        ends.exchange()
        ends.program.say(b"r")
        for what in (b", HelloRequest", b", ClientHello", b"<<< TLS 1.2, Handshake"):
            ends.program.until(what)
        ends.exchange()
        ends.program.until(b"its answer")


def test_a_client_that_wants_to_negotiate_anew_is_refused_as_by_other_servers(of_client: Any) -> None:
    ends = of_client("-tls1_2")
    ends.exchange()
    ends.program.say(b"R")
    ends.program.until(b"no_renegotiation")
    (failed,) = (event for event in wait_for_end(ends) if event.kind == "tls_failed")
    assert (failed.by, failed.detail) == ("client", "it sent an alert: handshake failure")


def wait_for_end(ends: Ends) -> tuple[Any, ...]:
    with contextlib.suppress(OSError):
        while ends.sock.recv(9):
            pass
    return ends.link.events
