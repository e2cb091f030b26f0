"""kombu: a ConsumerMixin with a durable queue, acknowledged after the callback."""

import threading

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin

from pytest_netfault import Delivery, Event

EXCHANGE = Exchange("changes", type="topic", durable=True)


class Worker(ConsumerMixin):
    def __init__(self, connection, queue, received):
        self.connection, self.queue, self.received = connection, queue, received
        self.ready = threading.Event()

    def get_consumers(self, consumer, channel):
        return [consumer(queues=[self.queue], callbacks=[self.received])]

    def on_consume_ready(self, *_, **__):
        self.ready.set()


class Store:
    def __init__(self, address):
        self.url, self.worker, self.thread = f"amqp://guest:guest@{address}//", None, None

    def connect(self):
        options = {"confirm_publish": True, "read_timeout": 3, "write_timeout": 3}
        return Connection(self.url, heartbeat=4, connect_timeout=2, transport_options=options)

    def put(self, key, value):
        with self.connect() as connection:
            connection.Producer().publish(value or "", exchange=EXCHANGE, routing_key=key, declare=[EXCHANGE])

    def delete(self, key):
        self.put(key, None)

    def subscribe(self, prefix, deliver):
        def received(body, message):
            deliver(Delivery(events=(Event(message.delivery_info["routing_key"], body or None),)))
            message.ack()

        queue = Queue(f"subscriber.{prefix}", EXCHANGE, routing_key=f"{prefix}#", durable=True)
        self.worker = Worker(self.connect(), queue, received)
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
        self.thread.start()
        self.worker.ready.wait(5)

    def close(self):
        if self.worker is not None:
            self.worker.should_stop = True
            self.thread.join(4)


open_store = Store
