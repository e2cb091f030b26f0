"""Real servers, each for as long as the session that uses it.

Rules of this file: a server is a process that dies with the test process, and what it left on disk is removed; it is
ready when its fixture is; a program or package that is missing is a skip that names it.
"""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.postgres import FOLDERS, CannotRunPostgres, postgres_server

from pytest_netfault.servers import OwnedServer

# Far longer than a server takes to start: reached only when something is broken.
PATIENCE = 60.0


@pytest.fixture(scope="session")
def redis_address(helpers: Any) -> Iterator[str]:
    program = helpers.program("redis-server")

    def command(port: int, folder: Path) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
        return [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    with OwnedServer(command) as server:
        yield server.address


@pytest.fixture(scope="session")
def redis_tls_address(helpers: Any, certificate: Certificate) -> Iterator[str]:
    program = helpers.program("redis-server")

    def command(port: int, folder: Path) -> list[str]:
        options = {
            "port": 0,
            "tls-port": port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": folder,
            "tls-cert-file": certificate.pem,
            "tls-key-file": certificate.pem,
            "tls-ca-cert-file": certificate.authority,
            "tls-auth-clients": "no",
        }
        return [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    with OwnedServer(command) as server:
        yield server.address


@pytest.fixture(scope="session")
def postgres_address(helpers: Any, certificate: Certificate) -> Iterator[str]:
    """With TLS for those who ask for it."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        made = postgres_server(lambda name: helpers.program(name, *FOLDERS), certificate.pem)
    except CannotRunPostgres as error:
        pytest.skip(str(error))
    with made as server:
        yield server.address


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 and localhost, and who vouches for it."""

    pem: Path
    authority: Path

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return Certificate(folder / "server.pem", folder / "authority.pem")


_NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{options}; root {folder}/files; client_max_body_size 10m; {tls}
    location /put/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


def _nginx(helpers: Any, options: str = "", tls: str = "") -> OwnedServer:
    program = helpers.program("nginx")

    def command(port: int, folder: Path) -> list[str]:
        text = _NGINX.format(folder=folder, port=port, options=options, tls=tls)
        (folder / "nginx.conf").write_text(text)
        return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]

    def prepare(folder: Path) -> None:
        (folder / "files").mkdir()
        (folder / "files" / "blob").write_bytes(helpers.blob)
        with (folder / "files" / "endless").open("wb") as sparse:
            sparse.truncate(1 << 40)

    return OwnedServer(command, prepare=prepare)


@pytest.fixture(scope="session")
def nginx_address(helpers: Any) -> Iterator[str]:
    """HTTP/1.1: ``/blob`` is what is exchanged, ``/endless`` does not end, ``/put/`` takes what is PUT."""
    with _nginx(helpers) as server:
        yield server.address


@pytest.fixture(scope="session")
def nginx_tls_address(helpers: Any, certificate: Certificate) -> Iterator[str]:
    """The same over TLS, with HTTP/2."""
    tls = f"ssl_certificate {certificate.pem}; ssl_certificate_key {certificate.pem};"
    with _nginx(helpers, " ssl http2", tls) as server:
        yield server.address


@pytest.fixture
def iperf3_server(helpers: Any) -> Iterator[OwnedServer]:
    """A server for each test: it serves one client at a time."""
    program = helpers.program("iperf3")
    # It says that it listens; a connection to try it out would count as a client.
    with OwnedServer(
        lambda port, _: [
            program,
            "--server",
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--forceflush",
        ],
        ready=_listens,
    ) as server:
        yield server


def _listens(port: int) -> None:
    """Whether a socket listens on the port, told by the kernel and without connecting."""
    wanted = f"0100007F:{port:04X}" if sys.byteorder == "little" else f"7F000001:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    if not any(row[1] == wanted and row[3] == "0A" for row in rows):
        raise OSError("not yet")


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client is gone, or was never one
            if (context := self.server.context) is not None:  # type: ignore[attr-defined]
                self.request = context.wrap_socket(self.request, server_side=True)
            try:
                while data := self.request.recv(65536):
                    self.request.sendall(data)
            finally:
                self.request.close()


class _EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2048

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        super().__init__(("127.0.0.1", 0), _Echo)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def _serving(server: _EchoServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def echo_address() -> Iterator[str]:
    """Sends back what it receives."""
    with _serving(_EchoServer()) as address:
        yield address


@pytest.fixture(scope="session")
def tls_echo_address(certificate: Certificate) -> Iterator[str]:
    """Sends back what it receives, over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.pem)
    with _serving(_EchoServer(context)) as address:
        yield address
