"""A hosted store over TLS: the link decrypts in the middle, so faults act on the bytes that the client means.

The hosted store is played by a small HTTPS server here. Of your client only one thing changes: the authority that it
trusts, ``netfault.ca.file``. Most clients have an option for that, or read it from ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from pytest_netfault import TLS

ANSWER = b"x" * 1000


class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


class StoreServer(ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # that clients vanish in the middle of an answer is what this is about


@pytest.fixture
def hosted(tmp_path):
    """The address of the store, and the file of the authority that has signed its certificate."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with StoreServer(("127.0.0.1", 0), Store) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"localhost:{server.server_port}", tmp_path / "authority.pem"
        server.shutdown()
        thread.join()


@pytest.fixture
def link(netfault, hosted):
    address, authority = hosted
    return netfault.forward(address, tls=TLS(upstream_ca=authority))  # for a public service: tls=True


@pytest.fixture
def client(netfault, link):
    trust = ssl.create_default_context(cafile=netfault.ca.file)
    client = http.client.HTTPSConnection("localhost", link.port, context=trust, timeout=5)
    yield client
    client.close()


def get(client):
    client.request("GET", "/")
    return client.getresponse().read()


def test_the_client_trusts_the_link(client, link):
    assert get(client) == ANSWER
    assert link.bytes_down > len(ANSWER)  # plaintext is what is counted


def test_an_answer_that_is_cut_in_the_middle(client, link):
    """At a byte of the HTTP answer, not of some record."""
    with link.cut(500, direction="down"):
        with pytest.raises(http.client.IncompleteRead):
            get(client)
    client.close()
    assert get(client) == ANSWER


def test_a_store_that_goes_silent(client, link):
    assert get(client) == ANSWER
    client.sock.settimeout(0.2)
    with link.blackhole():
        with pytest.raises(TimeoutError):
            get(client)


def test_a_client_that_does_not_trust_the_link_says_so(link):
    stranger = http.client.HTTPSConnection("localhost", link.port, timeout=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/")
    stranger.close()


def test_why_a_handshake_failed_is_an_event(netfault, hosted):
    """The link trusts the authorities of this system here, and the store's is none of them."""
    address, _ = hosted
    link = netfault.forward(address, tls=True)
    client = http.client.HTTPSConnection(
        "localhost", link.port, context=ssl.create_default_context(cafile=netfault.ca.file), timeout=5
    )
    with pytest.raises(ssl.SSLError):
        client.request("GET", "/")
    client.close()
    (failed,) = (event for event in link.events if event.kind == "tls_failed")
    assert failed.by == "upstream"
    assert failed.detail.startswith("its certificate is not accepted")
