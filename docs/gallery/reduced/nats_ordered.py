"""nats-py: an ordered consumer of new messages gets all the old ones after a reconnect. Needs nats-server on PATH."""

import asyncio
import subprocess
import tempfile

import nats
from nats.js.api import DeliverPolicy


def start(folder):
    return subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", "4999", "-js", "-sd", folder])


async def main(folder):
    server = start(folder)
    await asyncio.sleep(1)
    stream = (await nats.connect("nats://127.0.0.1:4999", max_reconnect_attempts=-1)).jetstream()
    await stream.add_stream(name="S", subjects=["s"])
    await asyncio.gather(*(stream.publish("s", b"old %d" % number) for number in range(3)))
    subscription = await stream.subscribe("s", ordered_consumer=True, deliver_policy=DeliverPolicy.NEW)
    server.kill()
    server.wait()
    server = start(folder)  # its consumer is gone, and the client makes it again; nothing was published since
    for _ in range(3):
        print("received", (await subscription.next_msg(timeout=30)).data)
    server.kill()


asyncio.run(main(tempfile.mkdtemp()))
