"""Real clients on a TLS link, unchanged but for the authority that they trust: the link's instead of the server's."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import TLS, Link, NetFault

pytestmark = pytest.mark.slow


@pytest.fixture
def tls(certificate: Any) -> TLS:
    return TLS(upstream_ca=certificate.authority)


@pytest.fixture
def trust(net: NetFault) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=net.ca.file)


def test_a_socket_with_every_fault(
    play: Any, case: Any, tls_echo_address: str, tls: TLS, trust: ssl.SSLContext, helpers: Any
) -> None:
    import socket

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        raw = stack.enter_context(socket.create_connection((link.host, link.port)))
        client = stack.enter_context(trust.wrap_socket(raw, server_hostname="localhost"))

        def exchange() -> None:
            client.sendall(helpers.blob)
            got = b""
            while len(got) < len(helpers.blob):
                part = client.recv(65536)
                if not part:
                    raise EOFError("ended early")
                got += part
            helpers.check(got)

        return exchange

    play(tls_echo_address, case, connect, (OSError, EOFError), tls=tls)


@pytest.mark.parametrize("http2", [False, True])
def test_httpx(
    play: Any,
    one_of_few: Any,
    nginx_tls_address: str,
    tls: TLS,
    trust: ssl.SSLContext,
    helpers: Any,
    http2: bool,
) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        client = stack.enter_context(httpx.Client(http2=http2, verify=trust, timeout=None))

        def exchange() -> None:
            answer = client.get(f"https://{link.address}/blob")
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            helpers.check(answer.content)

        return exchange

    play(nginx_tls_address, one_of_few, connect, (httpx.HTTPError, OSError), reconnects=True, tls=tls)


def test_aiohttp(
    play: Any, one_of_few: Any, nginx_tls_address: str, tls: TLS, trust: ssl.SSLContext, helpers: Any
) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        turn = threading.Lock()

        async def session() -> Any:
            made = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust), timeout=aiohttp.ClientTimeout(total=None)
            )
            made._retry_connection = False  # a second try would hide what the first one met
            return made

        client = loop.run_until_complete(session())

        def close() -> None:
            with turn:
                loop.run_until_complete(client.close())

        stack.callback(close)

        async def get() -> Any:
            async with client.get(f"https://{link.address}/blob") as answer:
                return await answer.read()

        def exchange() -> None:
            with turn:
                helpers.check(loop.run_until_complete(get()))

        return exchange

    play(nginx_tls_address, one_of_few, connect, (aiohttp.ClientError, OSError), reconnects=True, tls=tls)


@pytest.fixture
def grpc_address(certificate: Any) -> Iterator[str]:
    """Sends back what it receives, over gRPC and TLS."""
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

    class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(lambda request, _context: request)

    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Echo()])
    pem = Path(certificate.pem).read_bytes()
    credentials = grpc.ssl_server_credentials([(pem, pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_grpc(play: Any, one_of_few: Any, grpc_address: str, tls: TLS, net: NetFault, helpers: Any) -> None:
    import grpc

    credentials = grpc.ssl_channel_credentials(Path(net.ca.file).read_bytes())

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        channel = stack.enter_context(grpc.secure_channel(link.address, credentials, options))
        call = channel.unary_unary("/echo/Echo")

        def exchange() -> None:
            helpers.check(call(helpers.blob))

        return exchange

    play(grpc_address, one_of_few, connect, (grpc.RpcError,), reconnects=True, tls=tls)


def test_redis_py(
    play: Any, one_of_few: Any, redis_tls_address: str, tls: TLS, net: NetFault, helpers: Any
) -> None:
    redis = pytest.importorskip("redis", reason="redis is not installed")
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        url = f"rediss://{link.address}/0?ssl_ca_certs={net.ca.file}"
        client = stack.enter_context(redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)))

        def exchange() -> None:
            client.set("blob", helpers.blob)
            helpers.check(client.get("blob"))

        return exchange

    play(redis_tls_address, one_of_few, connect, (redis.RedisError, OSError), reconnects=True, tls=tls)


def test_psycopg(
    play: Any, one_of_few: Any, postgres_address: str, certificate: Any, net: NetFault, helpers: Any
) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        connection = psycopg.connect(
            f"host=localhost hostaddr={link.host} port={link.port} user=postgres dbname=postgres "
            f"sslmode=verify-full sslrootcert={net.ca.file} gssencmode=disable",
            autocommit=True,
        )
        stack.callback(connection.close)

        def exchange() -> None:
            row = connection.execute("SELECT %b::bytea", [helpers.blob], binary=True).fetchone()
            helpers.check(row[0])

        return exchange

    tls = TLS(upstream_ca=certificate.authority, starttls="postgres")
    play(postgres_address, one_of_few, connect, (psycopg.Error, UnicodeError), tls=tls)


def test_a_postgres_without_tls_says_so(net: NetFault, echo_address: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with net.forward(echo_address, tls=TLS(starttls="postgres")) as link:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={link.port} sslmode=require gssencmode=disable")
        (failed,) = (event for event in link.events if event.kind == "tls_failed")
    assert failed.by == "upstream"
    assert "does not speak it" in failed.detail


GO = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	pem, _ := os.ReadFile(os.Args[2])
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
	}}
	answer, err := client.Get(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	body, err := io.ReadAll(answer.Body)
	fmt.Println(answer.Proto, len(body), err)
}
"""


def test_a_client_in_go(
    net: NetFault, nginx_tls_address: str, tls: TLS, helpers: Any, tmp_path: Path
) -> None:
    go = shutil.which("go", path="/usr/local/go/bin:/usr/bin") or pytest.skip("go is not installed")
    (tmp_path / "get.go").write_text(GO)
    program = tmp_path / "get"
    subprocess.run([go, "build", "-o", program, tmp_path / "get.go"], check=True)
    link = net.forward(nginx_tls_address, tls=tls)

    def get() -> str:
        command = [program, f"https://{link.address}/blob", net.ca.file]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    assert get() == f"HTTP/2.0 {len(helpers.blob)} <nil>\n"
    with link.cut(20_000, direction="down"):
        assert "EOF" in get()
    with link.refuse():
        assert "refused" in get()
    assert get() == f"HTTP/2.0 {len(helpers.blob)} <nil>\n"
