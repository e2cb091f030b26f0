"""centrifuge-python: publishes each change to a channel, and subscribes to it with recovery."""

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from pytest_netfault import Delivery, Event

CHANNEL = "changes"


class Received(SubscriptionEventHandler):
    def __init__(self, prefix, deliver):
        self.prefix, self.deliver = prefix, deliver

    async def on_publication(self, ctx):
        key, value = ctx.pub.data["key"], ctx.pub.data["value"]
        if key.startswith(self.prefix):
            self.deliver(Delivery(events=(Event(key, value, ctx.pub.offset),)))

    async def on_subscribed(self, ctx):
        if ctx.was_recovering and not ctx.recovered:
            self.deliver(Delivery(error="the server could not tell what was missed"))


class Store:
    def __init__(self, client):
        self.client = client

    async def put(self, key, value):
        await self.client.publish(CHANNEL, {"key": key, "value": value})

    async def delete(self, key):
        await self.client.publish(CHANNEL, {"key": key, "value": None})

    async def subscribe(self, prefix, deliver):
        subscription = self.client.new_subscription(
            CHANNEL, events=Received(prefix, deliver), recoverable=True
        )
        await subscription.subscribe()
        await subscription.ready(timeout=3)

    async def close(self):
        await self.client.disconnect()


async def open_store(address):
    options = {"timeout": 2, "max_server_ping_delay": 2, "max_reconnect_delay": 1}
    client = Client(f"ws://{address}/connection/websocket", events=ClientEventHandler(), **options)
    await client.connect()
    await client.ready(timeout=3)
    return Store(client)
