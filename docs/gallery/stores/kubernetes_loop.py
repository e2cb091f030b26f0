"""kubernetes: a watch of ConfigMaps in a loop, as in the client's examples: each watch begins with what is there."""

import threading
import uuid

from kubernetes import client, watch

from docs.gallery.servers.kubernetes import TOKEN
from pytest_netfault import Delivery, Event


class Store:
    rejected = client.exceptions.NotFoundException

    def __init__(self, address):
        options = client.Configuration(f"https://{address}", verify_ssl=False, retries=False)
        options.api_key = {"BearerToken": f"Bearer {TOKEN}"}
        self.maps, self.closed = client.CoreV1Api(client.ApiClient(options)), threading.Event()

    def put(self, key, value):
        body = {"metadata": {"name": key}, "data": {"value": value, "write": uuid.uuid4().hex}}
        try:
            self.maps.patch_namespaced_config_map(key, "default", body, _request_timeout=3)
        except client.exceptions.NotFoundException:
            self.maps.create_namespaced_config_map("default", body, _request_timeout=3)

    def delete(self, key):
        self.maps.delete_namespaced_config_map(key, "default", _request_timeout=3)

    def subscribe(self, prefix, deliver):
        threading.Thread(target=self.follow, args=(prefix, deliver), daemon=True).start()

    def follow(self, prefix, deliver):
        while not self.closed.is_set():
            try:
                for event in watch.Watch().stream(self.maps.list_namespaced_config_map, "default"):
                    found = event["object"]
                    value = None if event["type"] == "DELETED" else found.data["value"]
                    if found.metadata.name.startswith(prefix):
                        version = int(found.metadata.resource_version)
                        deliver(Delivery(events=(Event(found.metadata.name, value, version),)))
            except Exception:
                self.closed.wait(0.1)

    def close(self):
        self.closed.set()


open_store = Store
