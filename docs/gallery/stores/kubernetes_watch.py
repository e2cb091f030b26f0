"""kubernetes: a watch of ConfigMaps that is begun again from its last resourceVersion; a 410 means to list again."""

import threading
import uuid

import urllib3
from kubernetes import client, watch

from docs.gallery.servers.kubernetes import TOKEN
from pytest_netfault import Delivery, Event, Resync


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

    def list(self, prefix, deliver):
        found = self.maps.list_namespaced_config_map("default", _request_timeout=3)
        kvs = {o.metadata.name: o.data["value"] for o in found.items if o.metadata.name.startswith(prefix)}
        deliver(Delivery(resync=Resync(int(found.metadata.resource_version), kvs)))
        return found.metadata.resource_version

    def subscribe(self, prefix, deliver):
        start = self.list(prefix, deliver)
        threading.Thread(target=self.follow, args=(start, prefix, deliver), daemon=True).start()

    def follow(self, start, prefix, deliver):
        while not self.closed.is_set():
            try:
                start = start or self.list(prefix, deliver)
                limits = {"resource_version": start, "timeout_seconds": 20, "_request_timeout": (2, 5)}
                for event in watch.Watch().stream(self.maps.list_namespaced_config_map, "default", **limits):
                    found = event["object"]
                    name, start = found.metadata.name, found.metadata.resource_version
                    value = None if event["type"] == "DELETED" else found.data["value"]
                    if name.startswith(prefix):
                        deliver(Delivery(events=(Event(name, value, int(start)),)))
            except (client.ApiException, urllib3.exceptions.HTTPError) as error:
                start = None if getattr(error, "status", None) == 410 else start
                self.closed.wait(0.1)

    def close(self):
        self.closed.set()


open_store = Store
