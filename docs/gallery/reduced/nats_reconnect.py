"""nats-py: after a reconnect that ends inside the INFO of the server there is no other. Needs no server."""

import asyncio

import nats

INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"proto":1,"headers":true}\r\n'
connections = 0


async def serve(reader, writer):
    global connections
    connections += 1
    writer.write(INFO[:4] if connections == 2 else INFO)  # the second one is cut in the middle
    while connections != 2 and (line := await reader.readline()):
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")
            await asyncio.sleep(1)
            break
    writer.close()


async def main():
    await asyncio.start_server(serve, "127.0.0.1", 4998)
    await nats.connect("nats://127.0.0.1:4998", max_reconnect_attempts=-1, reconnect_time_wait=0.2)
    await asyncio.sleep(10)
    print(connections, "connections in 10 s; without a cut there is a new one each second")


asyncio.run(main())
