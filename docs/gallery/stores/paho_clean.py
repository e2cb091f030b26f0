"""paho-mqtt with a clean session: publishes each change, and subscribes again whenever it has connected."""

import threading

import paho.mqtt.client as mqtt

from pytest_netfault import Delivery, Event


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.reconnect_delay_set(min_delay=1, max_delay=2)
        self.subscribed, self.prefix = threading.Event(), None
        self.client.on_connect = self.connected
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self.received
        self.client.connect(host, int(port), keepalive=5)
        self.client.loop_start()

    def put(self, key, value):
        sent = self.client.publish(f"settings/{key}", value, qos=1)
        sent.wait_for_publish(timeout=3)
        if not sent.is_published():
            raise TimeoutError("no PUBACK within 3 s")

    def delete(self, key):
        self.put(key, None)

    def subscribe(self, prefix, deliver):
        self.prefix, self.deliver = prefix, deliver
        self.client.subscribe("settings/#", qos=1)
        self.subscribed.wait(5)

    def connected(self, client, *_):
        if self.prefix is not None:
            client.subscribe("settings/#", qos=1)

    def received(self, _client, _userdata, message):
        key = message.topic.removeprefix("settings/")
        if key.startswith(self.prefix):
            self.deliver(Delivery(events=(Event(key, message.payload.decode() or None),)))

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


open_store = Store
