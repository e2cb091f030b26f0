"""A thousand connections at once, each with bytes of its own, through one link."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CONNECTIONS = 1_000
SIZE = 4_096
# A client's, the server's and the proxy's two for each, all in this process, and as many pipes at the most.
DESCRIPTORS = CONNECTIONS * 8


@pytest.fixture
def enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(
            f"a process may have only {hard} open files here (ulimit -Hn); this test needs {DESCRIPTORS}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def bytes_of(number: int, turn: str) -> bytes:
    return hashlib.shake_128(f"{turn}/{number}".encode()).digest(SIZE)


async def exchange(streams: Any, number: int, turn: str) -> None:
    """This connection's own bytes there and back: an answer meant for another connection is not one of ours."""
    reader, writer = streams
    sent = bytes_of(number, turn)
    writer.write(sent)
    await writer.drain()
    assert await reader.readexactly(SIZE) == sent


async def on_all(streams: list[Any], turn: str) -> None:
    await asyncio.gather(*(exchange(one, number, turn) for number, one in enumerate(streams)))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.mark.usefixtures("enough_descriptors")
def test_a_thousand_connections_keep_their_bytes_apart(net: Any, helpers: Any) -> None:
    async def story() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=2 * CONNECTIONS)
        async with server:
            link = net.forward(server.sockets[0].getsockname())
            dials = [asyncio.open_connection(link.host, link.port) for _ in range(CONNECTIONS)]
            streams = await asyncio.gather(*dials)
            try:
                await on_all(streams, "before")
                assert len(link.connections) == CONNECTIONS
                for one in link.connections:
                    assert (one.bytes_up, one.bytes_down) == (SIZE, SIZE)

                with link.blackhole():
                    held = asyncio.ensure_future(on_all(streams, "held"))
                    done, _ = await asyncio.wait([held], timeout=helpers.silence)
                    assert not done
                    assert {(one.bytes_up, one.bytes_down) for one in link.connections} == {(SIZE, SIZE)}
                await held

                with link.slice(500), link.delay(0.01):
                    await on_all(streams, "late and in pieces")
                assert {(one.bytes_up, one.bytes_down) for one in link.connections} == {(3 * SIZE, 3 * SIZE)}

                link.reset()
                ends = await asyncio.gather(*(one[0].read() for one in streams), return_exceptions=True)
                assert {type(end) for end in ends} == {ConnectionResetError}
                assert link.connections == []
            finally:
                for _, writer in streams:
                    writer.close()
                await asyncio.gather(*(one[1].wait_closed() for one in streams), return_exceptions=True)

            again = await asyncio.open_connection(link.host, link.port)
            await exchange(again, CONNECTIONS, "after")
            again[1].close()
            await again[1].wait_closed()

    asyncio.run(asyncio.wait_for(story(), helpers.patience))
