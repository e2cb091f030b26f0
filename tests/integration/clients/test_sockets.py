"""Sockets of the standard library, asyncio, trio and anyio, alone and in threads, plain and under TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_netfault import Link

THREADS = 8


def exchange_on(sock: socket.socket, helpers: Any) -> None:
    """The blob there and back. It fits what the sockets on the way hold, so one thread can do both."""
    sock.sendall(helpers.blob)
    received = bytearray()
    while len(received) < len(helpers.blob):
        part = sock.recv(65536)
        if not part:
            raise EOFError("the server has ended the connection")
        received += part
    helpers.check(bytes(received))


def dial(link: Link, stack: contextlib.ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection((link.host, link.port)))


@pytest.mark.slow
def test_stdlib_socket(play: Callable[..., None], case: Any, echo_address: str, helpers: Any) -> None:
    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        sock = dial(link, stack)
        return lambda: exchange_on(sock, helpers)

    play(echo_address, case, connect, (OSError, EOFError))


@pytest.mark.slow
def test_threads(play: Callable[..., None], case: Any, echo_address: str, helpers: Any) -> None:
    """Eight connections, each with a thread of its own, at the same moment."""

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        socks = [dial(link, stack) for _ in range(THREADS)]
        together = threading.Barrier(THREADS)

        def one(sock: socket.socket) -> None:
            together.wait(helpers.patience)
            exchange_on(sock, helpers)

        def all_of_them() -> None:
            futures = [pool.submit(one, sock) for sock in socks]
            errors = [future.exception(helpers.patience) for future in futures]
            failed = [error for error in errors if error is not None]
            if failed:
                # A fault that spared one of the connections would be no fault of the link.
                assert len(failed) == THREADS, f"only {len(failed)} of {THREADS} failed: {failed}"
                raise failed[0]

        return all_of_them

    play(echo_address, case, connect, (OSError, EOFError))


@pytest.mark.slow
def test_stdlib_tls(
    play: Callable[..., None], case: Any, tls_echo_address: str, certificate: Any, helpers: Any
) -> None:
    """The link passes TLS as it is: the client checks the server's own certificate."""

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        plain = dial(link, stack)
        sock = stack.enter_context(certificate.client().wrap_socket(plain, server_hostname="localhost"))
        return lambda: exchange_on(sock, helpers)

    play(tls_echo_address, case, connect, (OSError, EOFError))


@pytest.mark.slow
def test_asyncio_streams(play: Callable[..., None], case: Any, echo_address: str, helpers: Any) -> None:
    anyio_thread = pytest.importorskip("anyio.from_thread", reason="anyio is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        portal = stack.enter_context(anyio_thread.start_blocking_portal("asyncio"))
        reader, writer = portal.call(asyncio.open_connection, link.host, link.port)

        async def close() -> None:
            writer.close()
            with contextlib.suppress(OSError):  # as it had ended
                await writer.wait_closed()

        stack.callback(portal.call, close)

        async def exchange() -> None:
            writer.write(helpers.blob)
            await writer.drain()
            helpers.check(await reader.readexactly(len(helpers.blob)))

        return lambda: portal.call(exchange)

    play(echo_address, case, connect, (OSError, EOFError))


@pytest.mark.slow
def test_trio_streams(play: Callable[..., None], case: Any, echo_address: str, helpers: Any) -> None:
    import trio

    anyio_thread = pytest.importorskip("anyio.from_thread", reason="anyio is not installed")

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        portal = stack.enter_context(anyio_thread.start_blocking_portal("trio"))
        stream = portal.call(trio.open_tcp_stream, link.host, link.port)
        stack.callback(portal.call, stream.aclose)

        async def exchange() -> None:
            await stream.send_all(helpers.blob)
            received = bytearray()
            while len(received) < len(helpers.blob):
                part = await stream.receive_some()
                if not part:
                    raise EOFError("the server has ended the connection")
                received += part
            helpers.check(bytes(received))

        return lambda: portal.call(exchange)

    play(echo_address, case, connect, (OSError, EOFError, trio.BrokenResourceError))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_streams(
    play: Callable[..., None], case: Any, echo_address: str, helpers: Any, backend: str
) -> None:
    anyio = pytest.importorskip("anyio", reason="anyio is not installed")
    from anyio.from_thread import start_blocking_portal

    def connect(link: Link, stack: contextlib.ExitStack) -> Callable[[], None]:
        portal = stack.enter_context(start_blocking_portal(backend))
        stream = portal.call(anyio.connect_tcp, link.host, link.port)
        stack.callback(portal.call, stream.aclose)

        async def exchange() -> None:
            await stream.send(helpers.blob)
            received = bytearray()
            while len(received) < len(helpers.blob):
                received += await stream.receive()
            helpers.check(bytes(received))

        return lambda: portal.call(exchange)

    play(echo_address, case, connect, (OSError, anyio.EndOfStream, anyio.BrokenResourceError))
