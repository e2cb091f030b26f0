"""A TLS link: both sides speak TLS, faults act on the plaintext, and what TLS itself says is carried."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tls_peer import TlsPeer

from pytest_netfault import TLS, Blackhole, NetFault


def ends_with(sock: ssl.SSLSocket) -> str:
    """How a direction ends: in order, truncated, or by RST."""
    try:
        while sock.recv(1 << 16):
            pass
    except ssl.SSLEOFError:
        return "truncated"
    except ConnectionResetError:
        return "rst"
    except ssl.SSLZeroReturnError:
        return "in order"
    return "in order"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_plaintext_passes_and_is_what_is_counted(hosted: Any, secure: Any, direction: str) -> None:
    sender, receiver = secure.ends(direction)
    sender.sendall(b"hello")
    assert receiver.recv(9) == b"hello"
    (live,) = hosted.link.connections
    assert (live.bytes_up, live.bytes_down) == ((5, 0) if direction == "up" else (0, 5))


def test_the_certificate_is_for_the_upstream_and_for_this_machine(make_hosted: Callable[..., Any]) -> None:
    hosted = make_hosted(server_name="store.example")
    for name in ("store.example", "localhost", "127.0.0.1"):
        pair = hosted.connect(name=name)
        names = {value for _, value in pair.client.getpeercert()["subjectAltName"]}
        assert names == {"store.example", "localhost", "127.0.0.1", "0:0:0:0:0:0:0:1"}


def test_the_upstream_is_asked_for_by_its_name(make_hosted: Callable[..., Any]) -> None:
    hosted = make_hosted(server_name="store.example")
    asked: list[Any] = []
    hosted.context.sni_callback = lambda _sock, name, _context: asked.append(name)
    hosted.connect()
    assert asked == ["store.example"]


@pytest.mark.parametrize(
    ("offered", "known", "chosen"),
    [
        (["h2", "http/1.1"], ["http/1.1", "h2"], "http/1.1"),
        (["h2"], ["h2"], "h2"),
        ([], ["h2"], None),
        (["h2"], [], None),
    ],
)
def test_the_protocol_is_chosen_by_the_upstream(
    hosted: Any, offered: list[str], known: list[str], chosen: str | None
) -> None:
    context = hosted.trusting()
    if offered:
        context.set_alpn_protocols(offered)
    if known:
        hosted.context.set_alpn_protocols(known)
    pair = hosted.connect(context)
    assert pair.client.selected_alpn_protocol() == pair.server.selected_alpn_protocol() == chosen


def test_a_session_is_resumed(hosted: Any) -> None:
    context = hosted.trusting()
    first = hosted.connect(context)
    first.server.sendall(b"x")
    assert first.client.recv(1) == b"x"  # and the tickets before it
    again = hosted.connect(context, session=first.client.session)
    assert again.client.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_each_side_has_its_own_version(hosted: Any, version: ssl.TLSVersion) -> None:
    hosted.context.maximum_version = version
    pair = hosted.connect()
    pair.client.sendall(b"hello")
    assert pair.server.recv(9) == b"hello"
    assert pair.client.version() == "TLSv1.3"


class TestEndings:
    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_close_notify_is_carried(self, secure: Any, direction: str) -> None:
        sender, receiver = secure.ends(direction)
        sender.sendall(b"last")
        thread = threading.Thread(target=lambda: contextlib.suppress(OSError) and sender.unwrap())
        thread.start()
        assert receiver.recv(9) == b"last"
        assert ends_with(receiver) == "in order"
        receiver.unwrap()
        thread.join(20)

    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_its_absence_is_carried_as_truncation(self, secure: Any, direction: str) -> None:
        sender, receiver = secure.ends(direction)
        sender.sendall(b"last")
        sender.shutdown(socket.SHUT_WR)
        assert receiver.recv(9) == b"last"
        assert ends_with(receiver) == "truncated"

    def test_a_half_that_has_ended_leaves_the_other(self, hosted: Any, secure: Any) -> None:
        secure.client.shutdown(socket.SHUT_WR)
        while hosted.link.connections[0].state != "half-closed":
            pass
        secure.server.sendall(b"still there")
        hosted.link.wait_for_bytes(11, "down")
        assert ends_with(secure.server) == "truncated"

    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_rst_is_carried(self, hosted: Any, secure: Any, direction: str) -> None:
        sender, receiver = secure.ends(direction)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sender.close()
        assert ends_with(receiver) in ("rst", "truncated")  # the ssl module reports a RST either way
        assert [event.kind for event in hosted.link.events][-2:] == ["rst", "closed"]

    def test_the_end_of_the_link_is_in_order(self, hosted: Any, secure: Any) -> None:
        hosted.link.close()
        assert ends_with(secure.client) == ends_with(secure.server) == "in order"


class TestFaults:
    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_a_cut_is_at_a_position_of_the_plaintext(self, hosted: Any, direction: str) -> None:
        with hosted.link.cut(7, direction=direction, how="fin"):
            sender, receiver = hosted.connect().ends(direction)
            sender.sendall(b"1234567890")
            got = b""
            while part := receiver.recv(9):
                got += part
            assert got == b"1234567"

    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_silence_holds_and_gives_back(self, hosted: Any, secure: Any, direction: str) -> None:
        sender, receiver = secure.ends(direction)
        with hosted.link.blackhole(direction) as silence:
            sender.sendall(b"held")
            while not silence.met_traffic:
                pass
            receiver.settimeout(0.02)
            with pytest.raises(TimeoutError):
                receiver.recv(1)
        receiver.settimeout(20)
        assert receiver.recv(9) == b"held"

    def test_damage_is_to_the_plaintext(self, hosted: Any, secure: Any) -> None:
        with hosted.link.corrupt(1.0, "up"):
            secure.client.sendall(b"clean")
            damaged = secure.server.recv(9)
        assert len(damaged) == 5
        assert damaged != b"clean"
        secure.client.sendall(b"clean")
        assert secure.server.recv(9) == b"clean"

    def test_slices_are_records_of_their_own(self, hosted: Any, secure: Any) -> None:
        with hosted.link.slice(2, direction="up"):
            secure.client.sendall(b"abcdef")
            assert [secure.server.recv(9) for _ in range(3)] == [b"ab", b"cd", b"ef"]

    def test_sever_is_in_order(self, hosted: Any, secure: Any) -> None:
        with hosted.link.sever():
            assert ends_with(secure.client) == ends_with(secure.server) == "in order"

    def test_reset(self, hosted: Any, secure: Any) -> None:
        hosted.link.reset()
        for sock in (secure.client, secure.server):
            assert ends_with(sock) in ("rst", "truncated")

    @pytest.mark.parametrize("packets", [False, True])
    def test_a_forgotten_flow_is_mute(self, hosted: Any, secure: Any, packets: bool) -> None:
        hosted.link.forget(packets=packets)
        secure.client.sendall(b"lost")
        secure.server.settimeout(0.02)
        with pytest.raises(TimeoutError):
            secure.server.recv(1)
        hosted.connect()

    def test_packets_are_those_of_the_real_connection(self, hosted: Any, secure: Any) -> None:
        with hosted.link.blackhole(packets=True):
            secure.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
            secure.client.sendall(b"never acknowledged")
            with pytest.raises(OSError) as seen:
                secure.client.recv(1)
            # The kernel has given a reason; that of our own patience has no number.
            assert seen.value.errno is not None, "it was the connection that ended, not our patience"

    def test_silence_holds_a_handshake(self, hosted: Any) -> None:
        context = hosted.trusting()
        silence = hosted.link.apply(Blackhole(connections=1))
        client = hosted.about_to_shake_hands(context)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.do_handshake()
        silence.heal()
        client.settimeout(20)
        serving = threading.Thread(
            target=lambda: hosted.own(hosted.context.wrap_socket(hosted.accept(), server_side=True))
        )
        serving.start()
        client.do_handshake()
        serving.join(20)

    def test_silence_that_begins_in_the_middle_of_a_handshake_holds_it(self, hosted: Any) -> None:
        raw = hosted.dial()
        upstream = hosted.accept()
        with hosted.link.blackhole(on_heal="reset"):
            raw.sendall(bytes([22, 3, 1, 2, 0, 1, 0, 1, 252]))
            upstream.settimeout(0.05)
            with pytest.raises(TimeoutError):
                upstream.recv(1)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(1) == b""


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_bulk_arrives_whole_through_a_slow_reader_and_faults(
    hosted: Any, secure: Any, direction: str
) -> None:
    sender, receiver = secure.ends(direction)
    data = b"".join(hashlib.shake_128(str(n).encode()).digest(65_536) for n in range(200))
    thread = threading.Thread(target=sender.sendall, args=(data,))
    thread.start()
    got, faults = bytearray(), [hosted.link.delay, hosted.link.throttle, hosted.link.slice]
    amounts, active = [0.001, 50e6, 3000], None
    while len(got) < len(data):
        got += receiver.recv(100_000)
        if len(got) // 1_000_000 % 2:
            if active is None:
                which = len(got) // 2_000_000 % 3
                active = faults[which](amounts[which])
        elif active is not None:
            active.heal()
            active = None
    thread.join(20)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_a_reader_that_stalls_stops_the_sender_in_bounded_memory(secure: Any) -> None:
    secure.client.settimeout(0.3)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 200_000_000:
            sent += secure.client.send(bytes(100_000))
    assert sent < 30_000_000, "the kernel's buffers and 512 KiB"


class TestFailingHandshakes:
    def test_a_client_that_does_not_trust_the_link(self, hosted: Any) -> None:
        with pytest.raises(OSError):
            hosted.connect(ssl.create_default_context())
        assert hosted.failure() == ("client", "it sent an alert: unknown ca")

    def test_an_upstream_that_is_not_trusted(self, make_hosted: Callable[..., Any]) -> None:
        hosted = make_hosted(upstream_ca=None)
        with pytest.raises(OSError):
            hosted.connect()
        by, why = hosted.failure()
        assert by == "upstream"
        assert why.startswith("its certificate is not accepted: ")

    def test_unless_that_does_not_matter(self, make_hosted: Callable[..., Any]) -> None:
        make_hosted(upstream_ca=None, verify_upstream=False).connect()

    def test_an_alert_of_the_upstream_reaches_the_client(self, hosted: Any) -> None:
        hosted.context.minimum_version = ssl.TLSVersion.TLSv1_3
        hosted.context.set_ciphers("ALL")
        context = hosted.trusting()
        context.set_alpn_protocols(["h2"])
        hosted.context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        hosted.settings["server_name"] = "store.example"
        hosted.link = hosted.net.forward(hosted.server.getsockname(), tls=TLS(**hosted.settings))
        client = hosted.about_to_shake_hands(context)

        def serve() -> None:
            with contextlib.suppress(OSError):
                hosted.context.wrap_socket(hosted.accept(), server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ssl.SSLError) as seen:
            client.do_handshake()
        thread.join(20)
        assert "UNRECOGNIZED_NAME" in str(seen.value.reason)
        assert hosted.failure() == ("upstream", "it sent an alert: unrecognized name")

    def test_a_client_that_speaks_no_tls(self, hosted: Any) -> None:
        raw = hosted.dial()
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert raw.recv(9) == b""
        by, why = hosted.failure()
        assert (by, why[:25]) == ("client", "it sends no TLS, but b'GE")

    def test_an_upstream_that_speaks_no_tls(self, hosted: Any) -> None:
        client = hosted.about_to_shake_hands()
        hosted.accept().sendall(b"-ERR unknown command\r\n")
        with pytest.raises(OSError):
            client.do_handshake()
        by, why = hosted.failure()
        assert (by, why) == ("upstream", "it sends no TLS, but b'-ERR unknown command\\r\\n'")

    def test_a_client_that_leaves(self, hosted: Any) -> None:
        raw = hosted.dial()
        raw.sendall(bytes([22, 3, 1]))
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(9) == b""
        assert hosted.failure() == ("client", "it ended the connection before the handshake")

    def test_an_upstream_that_leaves(self, hosted: Any) -> None:
        client = hosted.about_to_shake_hands()
        upstream = hosted.accept()
        thread = threading.Thread(target=lambda: (upstream.recv(9), upstream.recv(60_000), upstream.close()))
        thread.start()
        with pytest.raises(OSError):
            client.do_handshake()
        thread.join(20)
        assert hosted.failure()[0] == "upstream"

    def test_what_an_upstream_said_before_it_reset_comes_before_that(self, hosted: Any) -> None:
        client = TlsPeer(hosted.dial(), hosted.trusting(), name="localhost")
        client.shake(whole=False)
        upstream = TlsPeer(hosted.accept(), hosted.context)
        upstream.shake()
        upstream.sendall(b"hello")
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        upstream.close()
        hosted.connect()  # by now the link knows, and the client has not agreed yet
        client.shake()
        assert client.recv(9) == b"hello"
        with pytest.raises(ConnectionResetError):
            client.recv(9)

    def test_an_upstream_that_is_not_there(self, hosted: Any) -> None:
        hosted.server.close()
        with pytest.raises(OSError):
            hosted.trusting().wrap_socket(hosted.dial(), server_hostname="localhost")
        assert "upstream_failed" in [event.kind for event in hosted.link.events]


class TestClientCertificates:
    def test_the_link_shows_one_to_the_upstream(
        self, make_hosted: Callable[..., Any], tmp_path: Path
    ) -> None:
        hosted = make_hosted()
        hosted.ca.issue_cert("me").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "me.pem"))
        hosted.context.verify_mode = ssl.CERT_REQUIRED
        hosted.ca.configure_trust(hosted.context)
        hosted.settings["client_certificate"] = tmp_path / "me.pem"
        hosted.link = hosted.net.forward(hosted.server.getsockname(), tls=TLS(**hosted.settings))
        pair = hosted.connect()
        assert pair.server.getpeercert()["subjectAltName"] == (("DNS", "me"),)

    def test_a_client_must_show_one_where_it_is_required(self, make_hosted: Callable[..., Any]) -> None:
        hosted = make_hosted(require_client_certificate=True)
        context = hosted.trusting()
        context.load_cert_chain(hosted.net.ca.client_certificate)
        pair = hosted.connect(context)
        pair.client.sendall(b"hello")
        assert pair.server.recv(9) == b"hello"

    def test_without_it_the_client_is_refused(self, make_hosted: Callable[..., Any]) -> None:
        hosted = make_hosted(require_client_certificate=True)
        with pytest.raises(OSError):
            hosted.connect().client.recv(1)
        assert hosted.failure() == ("client", "peer did not return a certificate")

    def test_an_upstream_that_demands_one_refuses_the_link(self, hosted: Any) -> None:
        hosted.context.verify_mode = ssl.CERT_REQUIRED
        hosted.ca.configure_trust(hosted.context)
        with pytest.raises(OSError):
            hosted.connect()
        by, why = hosted.failure()
        assert by == "upstream"
        assert "certificate required" in why or "ended" in why or "gone" in why


class TestFiles:
    def test_nobody_else_can_read_a_private_key(self, net: NetFault) -> None:
        for path in (Path(net.ca.client_certificate), Path(net.ca.file)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert b"PRIVATE KEY" not in Path(net.ca.file).read_bytes()
        assert os.fspath(net.ca.file) == net.ca.file

    def test_all_links_of_a_session_have_one_authority(self, net: NetFault) -> None:
        with NetFault() as other:
            assert other.ca.file == net.ca.file


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"tls": 1}, TypeError, r"tls must be True, False or TLS\(...\), not 1"),
    ({"tls": "yes"}, TypeError, r"tls must be True, False or TLS\(...\), not 'yes'"),
]


@pytest.mark.parametrize(("arguments", "kind", "says"), BAD)
def test_a_bad_argument(net: NetFault, arguments: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        net.forward(80, **arguments)


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        ({"starttls": "smtp"}, ValueError, "starttls must be 'postgres' or None, not 'smtp'"),
        ({"verify_upstream": 1}, TypeError, "verify_upstream must be True or False, not 1"),
        ({"server_name": 5}, TypeError, "server_name must be a host name or None, not 5"),
        (
            {"upstream_ca": "/no/such/file"},
            ValueError,
            "upstream_ca must be the path of a PEM file; '/no/such",
        ),
        ({"client_certificate": 7}, TypeError, "client_certificate must be the path of a PEM file, not 7"),
    ],
)
def test_bad_settings(settings: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        TLS(**settings)


@pytest.mark.parametrize("name", ["upstream_ca", "client_certificate"])
def test_a_file_that_is_no_pem_is_an_error_at_the_call(net: NetFault, tmp_path: Path, name: str) -> None:
    (tmp_path / "x.pem").write_text("nonsense")
    with pytest.raises(ValueError, match=f"^{name} must be "):
        net.forward(80, tls=TLS(**{name: tmp_path / "x.pem"}))


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        (
            {"client_certificate": ()},
            TypeError,
            "client_certificate must be the path of a PEM file, or a pair",
        ),
        ({"client_certificate": (__file__,)}, TypeError, "client_certificate must be .* not "),
        ({"client_certificate": (__file__, None)}, TypeError, "client_certificate must be .* not "),
        ({"client_certificate": (__file__,) * 3}, TypeError, "client_certificate must be .* not "),
        (
            {"upstream_ca": (__file__, __file__)},
            TypeError,
            "upstream_ca must be the path of a PEM file, not ",
        ),
        ({"server_name": "a b"}, ValueError, "server_name must be a host name or None, not 'a b'"),
        ({"server_name": "a\0b"}, ValueError, "server_name must be a host name or None, not "),
        ({"server_name": ".a"}, ValueError, "server_name must be a host name or None, not '.a'"),
        ({"server_name": "x" * 300}, ValueError, "server_name must be a host name or None, not 'xx"),
        ({"server_name": "a:443"}, ValueError, "server_name must be a host name or None, not 'a:443'"),
    ],
)
def test_settings_that_would_fail_later_are_an_error_at_once(settings: Any, kind: Any, says: str) -> None:
    with pytest.raises(kind, match=f"^{says}"):
        TLS(**settings)


@pytest.mark.parametrize(
    "name", ["my_store", "b\u00fccher.example", "*.example", "10.0.0.1", "::1", "localhost."]
)
def test_a_name_that_is_unusual_is_asked_for_all_the_same(make_hosted: Callable[..., Any], name: str) -> None:
    """Containers are called so: what no certificate can be for leaves those for this machine."""
    hosted = make_hosted(server_name=name, verify_upstream=False)
    pair = hosted.connect()
    pair.client.sendall(b"hello")
    assert pair.server.recv(9) == b"hello"
