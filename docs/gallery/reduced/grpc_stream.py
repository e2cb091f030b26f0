"""grpc.aio: a call whose connection is reset in the first bytes of the server may never end. Needs no server."""

import asyncio

import grpc


async def serve(_reader, writer):
    writer.write(bytes([0, 0, 18, 4, 0]))  # the beginning of a SETTINGS frame
    await writer.drain()
    writer.transport.abort()


async def call():
    async with grpc.aio.insecure_channel("127.0.0.1:4996") as channel:
        stream = channel.stream_stream("/etcdserverpb.Watch/Watch")()
        await stream.write(b"")
        await stream.read()


async def main():
    await asyncio.start_server(serve, "127.0.0.1", 4996)
    for number in range(100):
        _, pending = await asyncio.wait([task := asyncio.create_task(call())], timeout=5)
        if pending:
            print("call", number, "had not ended after 5 s")
        task.cancel()


asyncio.run(main())
