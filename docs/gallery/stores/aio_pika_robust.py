"""aio-pika with a robust connection: a durable queue for each subscriber, acknowledged after the callback."""

import aio_pika

from pytest_netfault import Delivery, Event

EXCHANGE = "changes"


class Store:
    def __init__(self, connection, channel, exchange):
        self.connection, self.channel, self.exchange = connection, channel, exchange

    async def put(self, key, value):
        body = b"" if value is None else value.encode()
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.exchange.publish(message, routing_key=key, timeout=3)  # returns when it is confirmed

    async def delete(self, key):
        await self.put(key, None)

    async def subscribe(self, prefix, deliver):
        async def received(message):
            async with message.process():
                event = Event(message.routing_key, message.body.decode() or None)
                deliver(Delivery(events=(event,)))

        queue = await self.channel.declare_queue(f"subscriber.{prefix}", durable=True)
        await queue.bind(self.exchange, f"{prefix}#")
        await queue.consume(received)

    async def close(self):
        await self.connection.close()


async def open_store(address):
    connection = await aio_pika.connect_robust(
        f"amqp://guest:guest@{address}/?heartbeat=4", reconnect_interval=0.2
    )
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    return Store(connection, channel, exchange)
