"""An asyncio client. The proxy lives in a thread of its own, so nothing has to be awaited but the client.

The methods of a link return within milliseconds, so a coroutine may call them. What waits (``wait_for_connection``,
``wait_for_bytes``) goes into ``asyncio.to_thread``, or the loop would stand still meanwhile.

With pytest-asyncio, anyio or pytest-trio the tests are coroutines themselves; the fixtures are the same.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@contextlib.asynccontextmanager
async def connected(link):
    reader, writer = await asyncio.open_connection(link.host, link.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_a_request_that_meets_silence_can_be_given_up(netfault, hello_server):
    link = netfault.forward(hello_server)

    async def client():
        async with connected(link) as (reader, writer):
            with link.blackhole():
                writer.write(REQUEST)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(reader.read(), timeout=0.1)
            return await reader.read()  # healed: what was held arrives late and whole

    assert asyncio.run(client()).endswith(b"hello, world\n")


def test_the_connection_breaks_in_the_middle_of_the_answer(netfault, hello_server):
    link = netfault.forward(hello_server)

    async def client():
        async with connected(link) as (reader, writer):
            writer.write(REQUEST)
            await asyncio.to_thread(link.wait_for_bytes, 20, "down")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    with link.cut(20, direction="down", how="rst"):
        asyncio.run(client())
